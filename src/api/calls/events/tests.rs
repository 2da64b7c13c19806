use super::*;

fn wanted(query: &str, accept: Option<&str>, last_event_id: Option<&str>) -> Result<Wanted, String> {
    let mut fields = [None; 7];
    fields[Field::Accept as usize] = accept.map(str::as_bytes);
    fields[Field::LastEventId as usize] = last_event_id.map(str::as_bytes);
    let request = Request {
        method: Method::Get,
        http10: false,
        cross_site: false,
        path: "/events/h",
        query: Some(query),
        fields: &fields,
        body: b"",
    };
    Wanted::parse(&request, Query(Some(query))).map_err(|error| error.to_string())
}

#[test]
fn the_acquire_timeout_is_finite_and_not_negative() {
    for (text, seconds) in [
        ("0", 0.0),
        ("0.1", 0.1),
        ("-0", 0.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("%201", 1.0),
        ("+1", 1.0),
        ("1e300", 1e300),
    ] {
        let wanted = wanted(&format!("acquire_timeout={text}"), None, None).unwrap();
        assert_eq!(wanted.position, Position::Queue { acquire_timeout_s: seconds }, "{text}");
    }
    for text in ["abc", "", "-1", "nan", "inf", "-inf", "infinity", "1e999", "1_0", "0x1", "1s"] {
        let error = wanted(&format!("acquire_timeout={text}"), None, None).unwrap_err();
        assert_eq!(error, format!("Invalid acquire_timeout: '{text}'"));
    }
    assert_eq!(wanted("", None, None).unwrap().position, Position::Queue { acquire_timeout_s: 1.0 });
    let Cursor::Queue { acquire_timeout, .. } = queue(1e300) else { panic!("a queue") };
    assert_eq!(acquire_timeout, Duration::MAX);
}

#[test]
fn an_explicit_framing_wins_over_accept() {
    let ndjson = Some("application/x-ndjson");
    for (query, accept, sse) in [
        ("", None, true),
        ("", Some("*/*"), true),
        ("", ndjson, false),
        ("sse=true", ndjson, true),
        ("sse=TRUE", ndjson, true),
        ("sse=false", None, false),
        ("sse=0", Some("text/event-stream"), false),
        ("sse", None, false),
    ] {
        assert_eq!(wanted(query, accept, None).unwrap().sse, sse, "{query} {accept:?}");
    }
}

#[test]
fn a_cursor_reads_the_log_and_the_header_wins() {
    use LogStart::{After, First, Next};
    for (query, header, start, numbered) in [
        ("after_sequence=-1", None, Some(First), true),
        ("after_sequence=now", None, Some(Next), true),
        ("after_sequence=7", None, Some(After(7)), true),
        ("after_sequence=99999999999999999999999", None, Some(After(u64::MAX)), true),
        ("after_sequence=7", Some("9"), Some(After(9)), true),
        ("after_sequence=7", Some("x"), Some(After(7)), true),
        ("", Some("9"), Some(After(9)), false),
        ("", Some("-1"), Some(First), false),
        ("", Some("now"), None, false),
        ("", Some(""), None, false),
        ("", Some("-2"), None, false),
        ("", None, None, false),
    ] {
        let wanted = wanted(query, Some("application/x-ndjson"), header).unwrap();
        let expected = start.map_or(Position::Queue { acquire_timeout_s: 1.0 }, Position::Log);
        assert_eq!((wanted.position, wanted.numbered), (expected, numbered), "{query} {header:?}");
    }
    assert!(!wanted("after_sequence=7", None, None).unwrap().numbered, "SSE has the number in its id");
    for (text, got) in
        [("", ""), ("-2", "-2"), ("x", "x"), ("1.0", "1.0"), ("Now", "Now"), ("%2B1", "+1"), ("0x1", "0x1")]
    {
        let error = wanted(&format!("after_sequence={text}"), None, Some("9")).unwrap_err();
        let expected = format!("Invalid after_sequence: '{got}'; expected the number of an event, -1 for all, or now");
        assert_eq!(error, expected, "{text}");
    }
    let error = wanted("after_sequence=x&acquire_timeout=x", None, None).unwrap_err();
    assert_eq!(error, "Invalid acquire_timeout: 'x'");
}

#[test]
fn a_log_begins_with_the_newest_run() {
    let feed = 10..20;
    for (start, from) in [
        (LogStart::First, 10),
        (LogStart::Next, 20),
        (LogStart::After(3), 10),
        (LogStart::After(12), 13),
        (LogStart::After(19), 20),
        (LogStart::After(30), 31),
        (LogStart::After(u64::MAX), u64::MAX),
    ] {
        assert_eq!(start.from(&feed), from, "{start:?}");
    }
}
