//! Compares the decoder of chunked bodies with a simple one that has all bytes at once.

use steprill::http::{
    Refusal,
    body::{Decoder, Framing, Progress},
};

const BODY_BYTES_MAX: usize = 64;

/// The first byte determines the size of the pieces in which the rest arrives.
pub fn run(data: &[u8]) {
    let Some((&step, input)) = data.split_first() else { return };
    let whole = decode(input, input.len().max(1));
    let cut = decode(input, usize::from(step).max(1));
    assert_eq!(whole, cut, "in steps of {step}");
    let expected = reference(input);
    match whole {
        Ok(done) => assert_eq!(done, expected),
        Err(refusal) => {
            assert_eq!(expected, None, "refused, but well-formed: {refusal:?}");
            assert!(matches!(refusal.status, 400 | 413 | 431), "{refusal:?}");
        }
    }
}

/// Returns the body, and how many bytes it took.
fn decode(input: &[u8], step: usize) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
    let mut decoder = Decoder::new(Framing::Chunked, BODY_BYTES_MAX)?;
    let (mut buffer, mut cut) = (Vec::new(), 0);
    for piece in input.chunks(step) {
        buffer.extend_from_slice(piece);
        match decoder.decode(&mut buffer, BODY_BYTES_MAX)? {
            Progress::Done { decoded, read } => return Ok(Some((buffer[..decoded].to_vec(), cut + read))),
            Progress::More { decoded, read } => {
                assert!(decoded <= BODY_BYTES_MAX && read == buffer.len());
                cut += read - decoded;
                buffer.drain(decoded..read);
                decoder.was_cut();
            }
        }
    }
    Ok(None)
}

/// Decodes as described in RFC 9112 section 7.1. Returns `None` for what is incomplete, malformed or too large.
fn reference(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut rest = input;
    loop {
        let line = take_line(&mut rest)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        let is_extension = extension.trim_ascii_start().starts_with(b";") || extension.is_empty();
        if !(1..=16).contains(&digits) || !is_extension || !extension.iter().all(|&byte| is_text(byte)) {
            return None;
        }
        let size = usize::try_from(u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?).ok()?;
        if size == 0 {
            break;
        }
        if size > BODY_BYTES_MAX - body.len() {
            return None;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let line = take_line(&mut rest)?;
        if line.is_empty() {
            return Some((body, input.len() - rest.len()));
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if colon == 0 || !line[..colon].iter().all(is_token) || !line.iter().all(|&byte| is_text(byte)) {
            return None;
        }
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|bytes| bytes == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
