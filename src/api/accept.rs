//! Reads media types from `Accept` (RFC 9110 section 12.5.1).

/// Returns the quality of a media type that `accept` lists by its full name, in thousandths; 0 if it does not. Ranges
/// such as `*/*` do not count.
pub(super) fn quality_permille(accept: Option<&[u8]>, media_type: &str) -> u16 {
    let ranges = accept.unwrap_or_default().split(|byte| *byte == b',');
    ranges.filter_map(|range| range_quality_permille(range, media_type)).max().unwrap_or(0)
}

/// Returns whether to send an event stream as NDJSON: listed, and with at least the quality of SSE.
pub(super) fn prefers_ndjson(accept: Option<&[u8]>) -> bool {
    let ndjson = quality_permille(accept, "application/x-ndjson").max(quality_permille(accept, "application/ndjson"));
    ndjson > 0 && ndjson >= quality_permille(accept, "text/event-stream")
}

fn range_quality_permille(range: &[u8], media_type: &str) -> Option<u16> {
    let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    if !parts.next()?.eq_ignore_ascii_case(media_type.as_bytes()) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    Some(weight.map_or(1000, weight_permille))
}

/// Parses a `qvalue` (RFC 9110 section 12.4.2). A malformed one counts as absent: 1.
fn weight_permille(weight: &[u8]) -> u16 {
    let weight = std::str::from_utf8(weight).ok().and_then(|weight| weight.parse::<f32>().ok());
    weight.filter(|weight| (0.0..=1.0).contains(weight)).map_or(1000, permille)
}

#[expect(clippy::cast_sign_loss, reason = "the weight is between 0 and 1")]
fn permille(weight: f32) -> u16 {
    (weight * 1000.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_counts_only_by_its_full_name() {
        for (accept, quality) in [
            ("application/json", 1000),
            ("text/html, Application/JSON ;q=0.5", 500),
            ("application/json;charset=utf-8;q=0.25", 250),
            ("application/json;q=0", 0),
            ("application/json;q=x", 1000),
            ("application/json;q=NaN", 1000),
            ("application/json;q=7", 1000),
            ("*/*", 0),
            ("application/*", 0),
            ("application/jsonl", 0),
            ("", 0),
            (",;,", 0),
        ] {
            assert_eq!(quality_permille(Some(accept.as_bytes()), "application/json"), quality, "{accept}");
        }
        assert_eq!(quality_permille(None, "application/json"), 0);
        assert_eq!(quality_permille(Some(b"\xff, application/json"), "application/json"), 1000);
    }

    #[test]
    fn ndjson_is_listed_and_not_outweighed_by_sse() {
        for (accept, ndjson) in [
            ("application/x-ndjson", true),
            ("application/ndjson", true),
            ("application/x-ndjson, text/event-stream", true),
            ("application/x-ndjson;q=0.5, */*", true),
            ("application/x-ndjson;q=0.5, text/event-stream;q=0.4", true),
            ("application/x-ndjson;q=0.5, text/event-stream", false),
            ("application/x-ndjson;q=0", false),
            ("text/event-stream", false),
            ("application/json", false),
            ("*/*", false),
        ] {
            assert_eq!(prefers_ndjson(Some(accept.as_bytes())), ndjson, "{accept}");
        }
        assert!(!prefers_ndjson(None));
    }
}
