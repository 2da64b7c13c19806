//! Heads of requests: no bytes panic, cutting them up changes nothing, and what is accepted is unambiguous.

use steprill::http::{
    Limits, Refusal,
    body::Framing,
    request::{Found, Head, Scan, find_end, parse_head},
};

/// The first byte determines the size of the pieces in which the rest arrives.
pub fn run(data: &[u8]) {
    let Some((&step, input)) = data.split_first() else { return };
    let limits = Limits { request_line_bytes_max: 128, head_bytes_max: 512, fields_max: 8, ..Limits::default() };
    let whole = parse(input, input.len().max(1), &limits);
    let cut = parse(input, usize::from(step).max(1), &limits);
    match (&whole, &cut) {
        (Ok(None), Ok(None)) => {}
        (Err(whole), Err(cut)) => assert_eq!(whole, cut),
        (Ok(Some(whole)), Ok(Some(cut))) => assert_eq!(format!("{whole:?}"), format!("{cut:?}")),
        _ => panic!("{whole:?} of the whole, {cut:?} in steps of {step}"),
    }
    match whole {
        Ok(Some(head)) => check(&head, input),
        // The search stops at an empty line in front.
        Ok(None) if input.starts_with(b"\r\n") => {}
        Ok(None) => assert!(input.len() < limits.head_bytes_max + 2, "a head beyond the bound is still waited for"),
        Err(refusal) => {
            assert!(matches!(refusal.status, 400 | 414 | 417 | 431 | 501 | 505), "{refusal:?}");
            assert!(!refusal.text.is_empty());
            assert!(refusal.text.chars().all(|character| !character.is_control()), "{refusal:?}");
        }
    }
}

fn parse(input: &[u8], step: usize, limits: &Limits) -> Result<Option<Head>, Refusal> {
    let mut scan = Scan::default();
    let mut end = 0;
    while end < input.len() {
        end = (end + step).min(input.len());
        match find_end(&input[..end], &mut scan, limits)? {
            Found::Nothing => {}
            Found::EmptyLine => return Ok(None),
            Found::End(bytes) => return parse_head(&input[..bytes], limits).map(Some),
        }
    }
    Ok(None)
}

fn check(head: &Head, input: &[u8]) {
    let text = &input[..head.bytes];
    assert!(text.ends_with(b"\r\n\r\n"));
    let lines: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert!(lines.iter().all(|line| line.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())));
    let count = |name: &str| {
        let named = |line: &&[u8]| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                && line.get(name.len()) == Some(&b':')
        };
        lines.iter().skip(1).copied().filter(|line| named(line)).count()
    };
    assert!(count("Host") == 1 || head.http10 && count("Host") == 0);
    assert!(count("Content-Length") <= 1);
    match head.framing {
        Framing::Chunked => assert!(count("Transfer-Encoding") == 1 && count("Content-Length") == 0 && !head.http10),
        Framing::Length(_) => assert_eq!(count("Transfer-Encoding"), 0),
    }
    let mut fields = [None; 7];
    let request = head.request(text, text.len()..text.len(), &mut fields);
    assert!(request.path.starts_with('/') || request.path == "*");
    assert!(!request.path.contains(['?', '#', ' ']));
    let values = request.fields.iter().flatten();
    assert!(values.clone().all(|value| value.trim_ascii().len() == value.len()));
}
