//! In preparation: the portable kernel until then.

pub(crate) use crate::kernel::portable as tile_sums;
