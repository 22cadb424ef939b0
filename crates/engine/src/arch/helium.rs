//! In preparation: the portable kernel until then.

pub(crate) use crate::kernel::PortableSums as Sums;
