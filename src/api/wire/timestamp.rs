//! Timestamps as the API writes and reads them.

use std::fmt;

use time::{Date, Month, OffsetDateTime};

const SECOND_US: i64 = 1_000_000;
const DAY_S: i64 = 86_400;
/// Days since 1970-01-01 of 0000-01-01 and 9999-12-31, the first and last date of RFC 3339.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Microseconds since the epoch; shown as `2026-11-24T15:19:41.245592+00:00` (RFC 3339 section 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Parses a date and time with its offset (RFC 3339 section 5.6). Accepts a space for the `+` of the offset, as
    /// which queries decode it. Truncates digits beyond microseconds.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            let value = |value: i64, digit: &u8| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'));
            digits.iter().try_fold(0, value)
        };
        let has = |place: usize, expected: &[u8]| text.get(place).is_some_and(|byte| expected.contains(byte));
        let within = |number: i64, max: i64| (number <= max).then_some(number);
        if !(has(4, b"-") && has(7, b"-") && has(10, b"Tt ") && has(13, b":") && has(16, b":")) {
            return None;
        }
        let days = days_of(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
        let (hours, minutes) = (within(number(11, 13)?, 23)?, within(number(14, 16)?, 59)?);
        // Second 60 is a leap second.
        let mut time_us = (hours * 3_600 + minutes * 60 + within(number(17, 19)?, 60)?) * SECOND_US;
        let mut place = 19;
        if has(place, b".") {
            let digits = text[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let counted = digits.min(6);
            time_us += number(20, 20 + counted).filter(|_| digits > 0)? * 10_i64.pow(6 - counted as u32);
            place = 20 + digits;
        }
        let offset_s = match text.get(place..)? {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-' | b' '), _, _, b':', _, _] => {
                let hours = within(number(place + 1, place + 3)?, 23)?;
                let seconds = hours * 3_600 + within(number(place + 4, place + 6)?, 59)? * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        Some(Self((days * DAY_S - offset_s) * SECOND_US + time_us))
    }

    /// Formats the timestamp.
    pub(super) fn text(self) -> [u8; 32] {
        let seconds = self.0.div_euclid(SECOND_US);
        let second_of_day = seconds.rem_euclid(DAY_S) as u32;
        let day = seconds.div_euclid(DAY_S).clamp(*DAYS.start(), *DAYS.end());
        let date = OffsetDateTime::from_unix_timestamp(day * DAY_S).expect("the years 0 to 9999 have dates").date();

        let mut text = *b"0000-00-00T00:00:00.000000+00:00";
        write_digits(&mut text[..4], date.year().unsigned_abs());
        write_digits(&mut text[5..7], u8::from(date.month()).into());
        write_digits(&mut text[8..10], date.day().into());
        write_digits(&mut text[11..13], second_of_day / 3_600);
        write_digits(&mut text[14..16], second_of_day / 60 % 60);
        write_digits(&mut text[17..19], second_of_day % 60);
        write_digits(&mut text[20..26], self.0.rem_euclid(SECOND_US) as u32);
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&self.text()).expect("digits are ASCII"))
    }
}

/// Returns the days since 1970-01-01, or `None` if the calendar has no such day.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    Some(date.midnight().assume_utc().unix_timestamp() / DAY_S)
}

fn write_digits(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_microseconds() {
        for (time_us, text) in [
            (1_795_533_581_245_592, "2026-11-24T15:19:41.245592+00:00"),
            (0, "1970-01-01T00:00:00.000000+00:00"),
            (-1, "1969-12-31T23:59:59.999999+00:00"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000+00:00"),
            (4_107_542_400_000_001, "2100-03-01T00:00:00.000001+00:00"),
        ] {
            assert_eq!(Timestamp(time_us).to_string(), text);
        }
        assert!(Timestamp(i64::MAX).to_string().starts_with("9999-12-31T"));
        assert!(Timestamp(i64::MIN).to_string().starts_with("0000-01-01T"));
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for time_us in [1_795_533_581_245_592, 0, -1, 951_782_400_000_000, 4_107_542_400_000_001] {
            assert_eq!(Timestamp::parse(&Timestamp(time_us).to_string()), Some(Timestamp(time_us)));
        }
        for (text, time_us) in [
            ("1970-01-01T00:00:01Z", 1_000_000),
            ("1970-01-01t01:00:00.5 01:00", 500_000),
            ("1969-12-31 23:00:00.1234567-01:30", 1_800_123_456),
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp(time_us)), "{text}");
        }
        let bad = "|x|2026|2026-11-24T15:19:41|2026-02-30T00:00:00Z|2026-13-01T00:00:00Z|2026-01-01T24:00:00Z|\
            2026-01-01T00:60:00Z|2026-01-01T00:00:00.Z|2026-01-01T00:00:00+1|2026-01-01T00:00:00ZZ|9999999999";
        for text in bad.split('|') {
            assert_eq!(Timestamp::parse(text), None, "{text:?}");
        }
    }
}
