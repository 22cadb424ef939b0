use super::view::View;
use crate::Finding;
use emberloop_data::DataError;
pub(super) fn padding(_view: &View<'_>) -> Option<Finding> {
    None
}
pub(super) fn lengths(_view: &View<'_>) -> Result<Option<Finding>, DataError> {
    Ok(None)
}
