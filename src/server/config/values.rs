//! The values of flags: numbers, sizes, durations and the like.

use std::{path::PathBuf, str::FromStr, time::Duration};

use super::error::ValueError;
use crate::{
    engine::window::FeedKeep,
    text::{self, InvalidValue},
};

/// A flag without a value says yes; its variable says which.
pub(super) fn switch(value: &str) -> Result<bool, ValueError> {
    match value {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        other => Err(InvalidValue::new("true or false", other).into()),
    }
}

pub(super) fn directory(value: &str) -> Result<PathBuf, ValueError> {
    if value.is_empty() { Err(ValueError::NoDirectory) } else { Ok(value.into()) }
}

pub(super) fn number(value: &str, min: usize, max: usize) -> Result<usize, ValueError> {
    let expected = || match max {
        usize::MAX => format!("a whole number from {min}"),
        _ => format!("a whole number from {min} to {max}"),
    };
    let in_range = usize::from_str(value).ok().filter(|number| (min..=max).contains(number));
    in_range.ok_or_else(|| InvalidValue::new(expected(), value).into())
}

/// Permissions of a file, as `chmod` takes them in octal.
pub(super) fn mode(value: &str) -> Result<u32, ValueError> {
    let is_octal = (3..=4).contains(&value.len()) && value.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let parsed = u32::from_str_radix(value, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    parsed.ok_or_else(|| InvalidValue::new("permissions in octal, such as 0600 or 0660", value).into())
}

/// Bytes: a whole number, alone or with a binary unit such as `64M`, `64MiB` or `1g`.
pub(super) fn size(value: &str, min: usize, max: usize) -> Result<usize, ValueError> {
    text::bytes(value).filter(|bytes| (min..=max).contains(bytes)).ok_or_else(|| {
        let above = if max == usize::MAX { String::new() } else { format!(" to {max}") };
        InvalidValue::new(format!("bytes from {min}{above}, such as 65536, 64K or 16M"), value).into()
    })
}

/// Events, and bytes of them if that is not the default.
pub(super) fn feed_keep(value: &str) -> Result<FeedKeep, ValueError> {
    let (events, bytes) = value.split_once(',').map_or((value, None), |(events, bytes)| (events, Some(bytes)));
    let mut keep = FeedKeep { events: number(events, 1, usize::MAX)? as u64, ..FeedKeep::default() };
    if let Some(bytes) = bytes {
        keep.bytes = size(bytes, 1, usize::MAX)? as u64;
    }
    Ok(keep)
}

/// A number and its unit; without one, seconds.
pub(super) fn duration(value: &str) -> Result<Duration, ValueError> {
    text::duration(value).ok_or_else(|| InvalidValue::new("a duration such as 90s, 15m, 12h or 30d", value).into())
}

pub(super) fn seconds(value: &str) -> Result<Duration, ValueError> {
    let parsed = f64::from_str(value).ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed.ok_or_else(|| InvalidValue::new("seconds, 0 or more", value).into())
}
