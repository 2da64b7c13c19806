//! Dates with times, as RFC 3339 section 5.6 writes them.

use time::{Date, Month};

/// Returns whether a text is a date with a time and an offset: `2026-01-31T12:00:00Z`, `2026-01-31T12:00:00.5+02:00`.
pub(super) fn is_date_time(text: &str) -> bool {
    let number = |from: usize, digits: usize| -> Option<u16> {
        let part = text.get(from..from + digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let has = |at: usize, allowed: &[u8]| text.as_bytes().get(at).is_some_and(|byte| allowed.contains(byte));
    let day = || {
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        Date::from_calendar_date(year.into(), Month::try_from(month as u8).ok()?, day as u8).ok()
    };
    let separated = has(4, b"-") && has(7, b"-") && has(10, b"Tt ") && has(13, b":") && has(16, b":");
    // A leap second is a second, too.
    let timed = number(11, 2).is_some_and(|hour| hour < 24)
        && number(14, 2).is_some_and(|minute| minute < 60)
        && number(17, 2).is_some_and(|second| second <= 60);
    separated && timed && day().is_some() && text.get(19..).is_some_and(is_fraction_and_offset)
}

fn is_fraction_and_offset(text: &str) -> bool {
    let offset = match text.strip_prefix('.') {
        Some(rest) => rest.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => text,
    };
    if text.starts_with('.') && offset.len() + 1 == text.len() {
        return false;
    }
    match offset.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hour @ .., b':', tens, ones] => {
            let is_below = |digits: &[u8], bound: u8| match digits {
                [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => (tens - b'0') * 10 + (ones - b'0') < bound,
                _ => false,
            };
            is_below(hour, 24) && is_below(&[*tens, *ones], 60)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_a_day_that_exists_a_time_and_an_offset() {
        for good in ["2026-01-31T12:00:00Z", "2024-02-29t23:59:60z", "2026-01-31 12:00:00.125+02:00"] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-02-30T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+2:00",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+02:60",
            "2026-01-31T12:00:00Zx",
            "2026-01-31T12:00:00\u{e4}",
            "+026-01-31T12:00:00Z",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}
