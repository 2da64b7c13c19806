//! Stands for the durable store in a program that was built without one.

use std::path::Path;

use super::{Inspect, OpenError, Opened, Store, Wanted};

const NOT_BUILT: OpenError = OpenError::NotBuilt { feature: "sqlite" };

pub(super) fn open(_: &Path, _: Wanted<'_>) -> Result<Opened<Box<dyn Store>>, OpenError> {
    Err(NOT_BUILT)
}

pub(super) fn inspect(_: &Path) -> Result<Box<dyn Inspect>, OpenError> {
    Err(NOT_BUILT)
}

pub(super) fn backup(_: &Path, _: &Path) -> Result<(), OpenError> {
    Err(NOT_BUILT)
}
