//! A handler as JSON.

use std::{fmt, ops::Range};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{event::event_texts, write_envelope, write_string};
use crate::{
    engine::{input::Outcome, scheduler::HandlerView},
    http::{Response, Shared},
    limits::SHARED_BYTES_MIN,
};

/// What `result` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResultForm {
    /// What was given to a plain `StopEvent`, or the object of a custom one's fields.
    Value,
    /// The stop event's envelope.
    Envelope,
}

/// `status` of a handler.
pub(crate) fn status_name(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        None => "running",
        Some(Outcome::Completed(_)) => "completed",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Cancelled) => "cancelled",
    }
}

/// A handler as a reply; a large result is not copied.
pub(crate) fn handler_reply(status: u16, view: &HandlerView<'_>, form: ResultForm) -> Response {
    let mut body = Vec::new();
    let shared = write_handler(&mut body, view, form, SHARED_BYTES_MIN);
    Response { shared, ..super::json(status, body) }
}

/// Appends a handler: always all nine members, null where empty.
pub(crate) fn render_handler(out: &mut Vec<u8>, view: &HandlerView<'_>, form: ResultForm) {
    write_handler(out, view, form, usize::MAX);
}

/// As [`render_handler`], but a result of `shared_bytes_min` or more is left out and given back.
fn write_handler(
    out: &mut Vec<u8>,
    view: &HandlerView<'_>,
    form: ResultForm,
    shared_bytes_min: usize,
) -> Option<Shared> {
    out.reserve(360);
    out.extend_from_slice(b"{\"handler_id\":");
    write_string(out, view.id);
    out.extend_from_slice(b",\"workflow_name\":");
    write_string(out, &view.graph.name);
    out.extend_from_slice(b",\"run_id\":\"");
    out.extend_from_slice(view.run_id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
    out.extend_from_slice(b"\",\"error\":");
    match view.outcome {
        Some(Outcome::Failed(error)) => write_string(out, error),
        _ => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"result\":");
    let shared = write_result(out, view, form, shared_bytes_min);
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(status_name(view.outcome).as_bytes());
    out.extend_from_slice(b"\",\"started_at\":");
    write_time(out, view.started_us);
    out.extend_from_slice(b",\"updated_at\":");
    write_time(out, view.updated_us);
    out.extend_from_slice(b",\"completed_at\":");
    match view.completed_us {
        Some(completed_us) => write_time(out, completed_us),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    shared
}

fn write_result(
    out: &mut Vec<u8>,
    view: &HandlerView<'_>,
    form: ResultForm,
    shared_bytes_min: usize,
) -> Option<Shared> {
    let Some(Outcome::Completed(value)) = view.outcome else {
        out.extend_from_slice(b"null");
        return None;
    };
    let stop = view.graph.event(view.graph.stop);
    let range = match form {
        ResultForm::Value if stop.builtin => result_of_stop(value.as_str()),
        ResultForm::Value | ResultForm::Envelope => Some(0..value.as_str().len()),
    };
    let Some(range) = range else {
        out.extend_from_slice(b"null");
        return None;
    };
    let is_shared = range.len() >= shared_bytes_min;
    let text = if is_shared { "" } else { &value.as_str()[range.clone()] };
    let at = match form {
        ResultForm::Value => {
            out.extend_from_slice(text.as_bytes());
            out.len()
        }
        ResultForm::Envelope => {
            let start = out.len();
            write_envelope(out, text, &event_texts(stop), true);
            start + ENVELOPE_OPENS.len()
        }
    };
    is_shared.then(|| Shared { at, text: value.clone(), range })
}

/// Where the value that a plain stop event was given stands in its text.
fn result_of_stop(text: &str) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Stop<'a> {
        #[serde(borrow, default)]
        result: Option<&'a RawValue>,
    }

    // As it is written: one member, or none. To parse a large one takes long.
    if text.len() >= SHARED_BYTES_MIN && text.starts_with(STOP_OPENS) && text.ends_with('}') {
        return Some(STOP_OPENS.len()..text.len() - 1);
    }
    let stop: Stop<'_> = serde_json::from_str(text).ok()?;
    let result = stop.result?.get();
    let start = result.as_ptr() as usize - text.as_ptr() as usize;
    Some(start..start + result.len())
}

/// What stands before the value in a plain stop event, and in an envelope.
const STOP_OPENS: &str = "{\"result\":";
const ENVELOPE_OPENS: &str = "{\"value\":";

const SECOND_US: i64 = 1_000_000;
const DAY_S: i64 = 86_400;
/// 0000-01-01 and 9999-12-31, the ends of what RFC 3339 can write, in days since 1970-01-01.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Microseconds since the epoch; shown as `2026-11-24T15:19:41.245592+00:00` (RFC 3339 section 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads a date and time with its offset (RFC 3339 section 5.6). A space may stand for the `+` of the offset, which
    /// queries take for one. Beyond microseconds digits are cut off.
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
        // The last is a leap second's.
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

    fn text(self) -> [u8; 32] {
        let seconds = self.0.div_euclid(SECOND_US);
        let second_of_day = seconds.rem_euclid(DAY_S) as u32;
        let (year, month, day) = civil_date(seconds.div_euclid(DAY_S).clamp(*DAYS.start(), *DAYS.end()));

        let mut text = *b"0000-00-00T00:00:00.000000+00:00";
        write_digits(&mut text[..4], year);
        write_digits(&mut text[5..7], month);
        write_digits(&mut text[8..10], day);
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

/// Days since 1970-01-01; `None` if the calendar has no such day.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    // Years that begin in March have their odd day last: as in [`civil_date`].
    let march_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let (found_year, found_month, found_day) = civil_date(days);
    let found = (i64::from(found_year), i64::from(found_month), i64::from(found_day));
    (DAYS.contains(&days) && found == (year, month, day)).then_some(days)
}

fn write_time(out: &mut Vec<u8>, time_us: i64) {
    out.push(b'"');
    out.extend_from_slice(&Timestamp(time_us).text());
    out.push(b'"');
}

fn write_digits(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`. Years begin in March there, so that the leap day
/// is a year's last.
#[expect(clippy::cast_sign_loss, reason = "days within an era, and years from 0 on, are not negative")]
fn civil_date(days: i64) -> (u32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{api::fixtures, json::Json};

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

    #[test]
    fn every_day_is_the_calendars() {
        for days in (*DAYS.start()..=*DAYS.end()).step_by(61) {
            let date = time::OffsetDateTime::from_unix_timestamp(days * DAY_S).unwrap().date();
            let expected = (date.year().cast_unsigned(), u32::from(u8::from(date.month())), u32::from(date.day()));
            assert_eq!(civil_date(days), expected, "day {days}");
        }
    }

    fn render(stop_builtin: bool, outcome: Option<&Outcome>, form: ResultForm) -> String {
        let graph = fixtures::graph(stop_builtin);
        let view = HandlerView {
            failed_step: None,
            id: "abc",
            graph: &graph,
            run_id: Uuid::from_u128(0x1234),
            outcome,
            started_us: 0,
            updated_us: 1,
            completed_us: outcome.map(|_| 1),
        };
        let mut out = Vec::new();
        render_handler(&mut out, &view, form);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_handler_has_all_nine_members_in_order() {
        assert_eq!(
            render(true, None, ResultForm::Value),
            "{\"handler_id\":\"abc\",\"workflow_name\":\"w\",\"run_id\":\"00000000-0000-0000-0000-000000001234\",\
             \"error\":null,\"result\":null,\"status\":\"running\",\"started_at\":\"1970-01-01T00:00:00.000000+00:00\",\
             \"updated_at\":\"1970-01-01T00:00:00.000001+00:00\",\"completed_at\":null}"
        );
        let failed = Outcome::Failed("no \"luck\"".to_owned());
        let text = render(true, Some(&failed), ResultForm::Value);
        assert!(text.contains("\"error\":\"no \\\"luck\\\"\",\"result\":null,\"status\":\"failed\""), "{text}");
        assert!(text.ends_with("\"completed_at\":\"1970-01-01T00:00:00.000001+00:00\"}"), "{text}");
        let text = render(true, Some(&Outcome::Cancelled), ResultForm::Value);
        assert!(text.contains("\"error\":null,\"result\":null,\"status\":\"cancelled\""), "{text}");
    }

    #[test]
    fn a_plain_stop_events_result_is_its_member_and_a_custom_ones_the_whole_object() {
        for (builtin, value, result) in [
            (true, "{\"result\":{\"a\":[1,\"}\"]}}", "{\"a\":[1,\"}\"]}"),
            (true, "{\"result\":12345678901234567890123}", "12345678901234567890123"),
            (true, "{\"result\":null}", "null"),
            (true, "{}", "null"),
            (false, "{\"result\":1,\"by\":\"me\"}", "{\"result\":1,\"by\":\"me\"}"),
        ] {
            let outcome = Outcome::Completed(Json::parse(value).unwrap());
            let text = render(builtin, Some(&outcome), ResultForm::Value);
            assert!(text.contains(&format!(",\"result\":{result},\"status\":\"completed\",")), "{text}");
        }
    }

    #[test]
    fn the_result_as_an_envelope_names_the_stop_event() {
        let outcome = Outcome::Completed(Json::parse("{\"result\":1}").unwrap());
        let text = render(true, Some(&outcome), ResultForm::Envelope);
        let envelope = "\"result\":{\"value\":{\"result\":1},\"qualified_name\":\"workflows.events.StopEvent\",\
                        \"type\":\"StopEvent\",\"types\":null},\"status\"";
        assert!(text.contains(envelope), "{text}");
        let text = render(false, Some(&outcome), ResultForm::Envelope);
        assert!(text.contains("\"type\":\"Verdict\",\"types\":[\"StopEvent\"]},\"status\""), "{text}");
        assert!(render(false, Some(&Outcome::Cancelled), ResultForm::Envelope).contains("\"result\":null"));
    }
}
