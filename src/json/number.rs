//! JSON numbers as text, which is exact.

// Texts are far shorter than the range of an i64.
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use std::borrow::Cow;

/// Returns a whole number as an integer literal: `2.0`, `2e0` and `20e-1` are `2`, and `-0` is `0`. Returns `None` if
/// the number is not whole or has more than `DIGITS_MAX` digits. `text` must be a JSON number.
/// ```
/// use steprill::json::whole;
///
/// assert_eq!(["2.0", "2e0", "-0", "1200e-2"].map(|text| whole(text).unwrap()), ["2", "2", "0", "12"]);
/// assert_eq!(["2.5", "1e-1", "1e99"].map(whole), [None, None, None]);
/// ```
pub fn whole(text: &str) -> Option<Cow<'_, str>> {
    let (sign, digits, exponent) = parts(text)?;
    if exponent.is_none() {
        return if text == "-0" { Some(Cow::Borrowed("0")) } else { Some(Cow::Borrowed(text)) };
    }
    let exponent = exponent.unwrap_or_default();
    let significant = digits.trim_start_matches('0');
    let zeros = significant.len() - significant.trim_end_matches('0').len();
    let (significant, exponent) = (&significant[..significant.len() - zeros], exponent.saturating_add(zeros as i64));
    if significant.is_empty() {
        return Some(Cow::Borrowed("0"));
    }
    if exponent < 0 || exponent.saturating_add(significant.len() as i64) > DIGITS_MAX {
        return None;
    }
    Some(Cow::Owned(format!("{sign}{significant}{}", "0".repeat(exponent as usize))))
}

/// Returns whether a number survives being read into 64 bits: an integer in range, or a float of at most
/// `FLOAT_DIGITS_MAX` significant digits that does not underflow to 0. `text` must be a JSON number.
///
/// ```
/// use steprill::json::fits_64_bits;
///
/// assert!(["18446744073709551615", "-9223372036854775808", "0.1", "1e300"].into_iter().all(fits_64_bits));
/// assert!(!["18446744073709551616", "0.1234567890123456789012", "1e-400"].into_iter().any(fits_64_bits));
/// ```
pub fn fits_64_bits(text: &str) -> bool {
    // Most are short.
    if text.len() <= FLOAT_DIGITS_MAX && !text.contains(['e', 'E']) {
        return true;
    }
    match parts(text) {
        Some((_, _, None)) => text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok(),
        Some((_, digits, Some(_))) => {
            let significant = digits.trim_matches('0').len();
            significant <= FLOAT_DIGITS_MAX && (significant == 0 || text.parse::<f64>().is_ok_and(|float| float != 0.0))
        }
        None => false,
    }
}

/// Returns a number as its significant digits and the power of ten that scales them, unless that is 1.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    if mantissa.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.')) {
        return Cow::Borrowed("0");
    }
    let Some((sign, digits, exponent)) = parts(text) else { return Cow::Borrowed(text) };
    let significant = digits.trim_matches('0');
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    match exponent.unwrap_or(0).saturating_add(zeros as i64) {
        0 if exponent.is_none() => Cow::Borrowed(text),
        0 => Cow::Owned(format!("{sign}{significant}")),
        exponent => Cow::Owned(format!("{sign}{significant}e{exponent}")),
    }
}

/// Returns the sign, the digits and the exponent to which they are scaled; `None` for an integer literal.
fn parts(text: &str) -> Option<(&str, Cow<'_, str>, Option<i64>)> {
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') { ("-", rest) } else { ("", text) };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.parse::<i64>().ok()?)),
        None => (rest, None),
    };
    let Some((before, after)) = mantissa.split_once('.') else {
        return Some((sign, Cow::Borrowed(mantissa), exponent));
    };
    let exponent = exponent.unwrap_or(0).checked_sub(after.len() as i64)?;
    Some((sign, Cow::Owned([before, after].concat()), Some(exponent)))
}

/// The most digits of integers that are written out: those of 128 bits.
const DIGITS_MAX: i64 = 39;

/// The decimal digits that determine a 64-bit float.
const FLOAT_DIGITS_MAX: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_recognised_by_their_texts() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-7", Some("-7")),
            ("0.0", Some("0")),
            ("-0.0e5", Some("0")),
            ("2.50e1", Some("25")),
            ("-2.5e1", Some("-25")),
            ("9007199254740993.0", Some("9007199254740993")),
            ("18446744073709551616", Some("18446744073709551616")),
            ("1e38", Some("100000000000000000000000000000000000000")),
            ("1e39", None),
            ("2.5", None),
            ("25e-2", None),
            ("1e9223372036854775807", None),
            ("0.1e-9223372036854775808", None),
        ] {
            assert_eq!(whole(text).as_deref(), expected, "{text}");
        }
    }
}
