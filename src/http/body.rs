//! Request bodies: finds where a body ends and decodes the chunked coding in place (RFC 9112 sections 6 and 7.1).

use super::Refusal;
use crate::limits::{CHUNK_EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};

/// How the length of a body is determined (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// `Content-Length`, or 0 if the request has neither field.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Finds the end of a body that arrives in pieces and decodes it in place.
///
/// Whenever more bytes arrive, call [`Decoder::decode`] with all of them, starting at the first byte of the body.
#[derive(Debug)]
pub enum Decoder {
    /// This many bytes.
    Length(usize),
    /// The chunked coding.
    Chunked(Chunks),
}

/// The progress made on a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// More bytes are needed. The caller may remove the bytes between `decoded` and `read`, which are consumed, and
    /// must then call [`Decoder::was_cut`].
    More {
        /// Where the part decoded so far ends.
        decoded: usize,
        /// Where the bytes not yet examined begin.
        read: usize,
    },
    /// The body is complete.
    Done {
        /// Where the decoded body ends; it begins at 0.
        decoded: usize,
        /// Where the bytes after the body begin.
        read: usize,
    },
}

impl Decoder {
    /// Creates a decoder for a body with this framing.
    ///
    /// # Errors
    /// 413 if the length is known and exceeds `body_bytes_max`.
    pub fn new(framing: Framing, body_bytes_max: usize) -> Result<Self, Refusal> {
        match framing {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= body_bytes_max => Ok(Self::Length(length)),
                _ => Err(too_large(body_bytes_max)),
            },
            Framing::Chunked => Ok(Self::Chunked(Chunks::default())),
        }
    }

    /// Continues to decode the body that begins at `bytes[0]`. What is already decoded does not move.
    ///
    /// # Errors
    /// 400 if the coding is malformed, 413 if the body exceeds `body_bytes_max`.
    pub fn decode(&mut self, bytes: &mut [u8], body_bytes_max: usize) -> Result<Progress, Refusal> {
        match self {
            Self::Length(length) if bytes.len() >= *length => Ok(Progress::Done { decoded: *length, read: *length }),
            Self::Length(_) => Ok(Progress::More { decoded: bytes.len(), read: bytes.len() }),
            Self::Chunked(chunks) => chunks.decode(bytes, body_bytes_max),
        }
    }

    /// Tells the decoder that the consumed bytes reported by [`Progress::More`] were removed.
    pub fn was_cut(&mut self) {
        if let Self::Chunked(chunks) = self {
            chunks.read = chunks.write;
        }
    }
}

/// The state of the chunked coding: its grammar is read byte by byte, its data chunk by chunk.
#[derive(Debug, Default)]
pub struct Chunks {
    phase: ChunkPhase,
    read: usize,
    write: usize,
    extension_bytes: u32,
    trailer_bytes: u32,
}

/// What the next byte belongs to.
///
/// ```text
///  ┌────────────────────────────────────────────────────────────┐
///  ▼                                                            │
/// Size ──► BeforeExtension ──► Extension ──► SizeLf ──► Data ──► DataCr ──► DataLf
///  └──────────────────────────────────────────▲  └─(0)─► TrailerStart ◄──► TrailerName, TrailerValue, TrailerLf
///                                                         └► LastLf ► end
/// ```
#[derive(Clone, Copy, Debug)]
enum ChunkPhase {
    Size { size: u64, digits: u8 },
    BeforeExtension { size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: usize },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
}

impl Default for ChunkPhase {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    fn decode(&mut self, bytes: &mut [u8], body_bytes_max: usize) -> Result<Progress, Refusal> {
        while self.read < bytes.len() {
            if let ChunkPhase::Data { left } = self.phase {
                let count = left.min(bytes.len() - self.read);
                if self.read != self.write {
                    bytes.copy_within(self.read..self.read + count, self.write);
                }
                self.read += count;
                self.write += count;
                self.phase = if count == left { ChunkPhase::DataCr } else { ChunkPhase::Data { left: left - count } };
                continue;
            }
            let byte = bytes[self.read];
            self.read += 1;
            if matches!((self.phase, byte), (ChunkPhase::LastLf, b'\n')) {
                return Ok(Progress::Done { decoded: self.write, read: self.read });
            }
            self.phase = self.next_phase(byte, body_bytes_max)?;
        }
        Ok(Progress::More { decoded: self.write, read: self.read })
    }

    /// The transition table for all bytes except chunk data.
    fn next_phase(&mut self, byte: u8, body_bytes_max: usize) -> Result<ChunkPhase, Refusal> {
        let next = match (self.phase, byte) {
            (ChunkPhase::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(fault("a chunk size of at most 16 hexadecimal digits", byte));
                }
                let digit = char::from(byte).to_digit(16).expect("a hexadecimal digit, as just seen");
                ChunkPhase::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (ChunkPhase::Size { size, digits: 1.. } | ChunkPhase::BeforeExtension { size }, b' ' | b'\t') => {
                self.count_extension()?;
                ChunkPhase::BeforeExtension { size }
            }
            (ChunkPhase::Size { size, digits: 1.. } | ChunkPhase::BeforeExtension { size }, b';') => {
                self.count_extension()?;
                ChunkPhase::Extension { size }
            }
            (ChunkPhase::Extension { size }, _) if is_text(byte) => {
                self.count_extension()?;
                ChunkPhase::Extension { size }
            }
            (ChunkPhase::Size { size, digits: 1.. } | ChunkPhase::Extension { size }, b'\r') => {
                ChunkPhase::SizeLf { size }
            }
            (ChunkPhase::SizeLf { size: 0 } | ChunkPhase::TrailerLf, b'\n') => ChunkPhase::TrailerStart,
            (ChunkPhase::SizeLf { size }, b'\n') => match usize::try_from(size) {
                Ok(left) if left <= body_bytes_max - self.write => ChunkPhase::Data { left },
                _ => return Err(too_large(body_bytes_max)),
            },
            (ChunkPhase::DataCr, b'\r') => ChunkPhase::DataLf,
            (ChunkPhase::DataLf, b'\n') => ChunkPhase::default(),
            (ChunkPhase::TrailerStart, b'\r') => ChunkPhase::LastLf,
            (ChunkPhase::TrailerStart | ChunkPhase::TrailerName, _) if is_token(byte) => {
                self.count_trailer()?;
                ChunkPhase::TrailerName
            }
            (ChunkPhase::TrailerName, b':') => ChunkPhase::TrailerValue,
            (ChunkPhase::TrailerValue, _) if is_text(byte) => {
                self.count_trailer()?;
                ChunkPhase::TrailerValue
            }
            (ChunkPhase::TrailerValue, b'\r') => ChunkPhase::TrailerLf,
            (phase, _) => return Err(fault(phase.expects(), byte)),
        };
        Ok(next)
    }

    fn count_extension(&mut self) -> Result<(), Refusal> {
        self.extension_bytes += 1;
        if self.extension_bytes <= CHUNK_EXTENSION_BYTES_MAX {
            return Ok(());
        }
        Err(Refusal::new(
            400,
            format!("The body's chunk extensions are larger than {CHUNK_EXTENSION_BYTES_MAX} bytes; leave them out"),
        ))
    }

    fn count_trailer(&mut self) -> Result<(), Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes <= TRAILER_BYTES_MAX {
            return Ok(());
        }
        Err(Refusal::new(
            431,
            format!("The body's trailer section is larger than {TRAILER_BYTES_MAX} bytes; leave it out"),
        ))
    }
}

impl ChunkPhase {
    fn expects(self) -> &'static str {
        match self {
            Self::Size { digits: 0, .. } => "a chunk size in hexadecimal digits",
            Self::Size { .. } => "a hexadecimal digit, ';' or CRLF behind a chunk size",
            Self::BeforeExtension { .. } => "';' and a chunk extension behind a chunk size and a blank",
            Self::Extension { .. } => "CRLF at the end of a chunk extension",
            Self::SizeLf { .. } => "LF behind the CR of a chunk size's line",
            Self::Data { .. } => "data",
            Self::DataCr | Self::DataLf => "CRLF behind a chunk's data, as long as its size says",
            Self::TrailerStart => "CRLF at the body's end, or a trailer field's name",
            Self::TrailerName => "':' behind a trailer field's name",
            Self::TrailerValue => "CRLF at the end of a trailer field",
            Self::TrailerLf | Self::LastLf => "LF behind the CR of the trailer section",
        }
    }
}

/// The most hexadecimal digits of a chunk size: those of a 64-bit number.
const SIZE_DIGITS_MAX: u8 = 16;

/// Returns whether the byte may stand in a field value or an extension: visible characters, space, tab and obs-text.
fn is_text(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// Returns whether the byte is a `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn fault(expected: &str, byte: u8) -> Refusal {
    Refusal::new(400, format!("The chunked body is malformed: expected {expected}, got '{}'", byte.escape_ascii()))
}

fn too_large(body_bytes_max: usize) -> Refusal {
    Refusal::new(
        413,
        format!("The request's body is larger than {body_bytes_max} bytes, the most that is accepted here"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input`, fed in pieces of `step` bytes, and removes consumed bytes after each piece.
    fn decode(input: &[u8], step: usize, body_bytes_max: usize) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut decoder = Decoder::new(Framing::Chunked, body_bytes_max)?;
        let mut buffer = Vec::new();
        let mut cut = 0;
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            match decoder.decode(&mut buffer, body_bytes_max)? {
                Progress::Done { decoded, read } => return Ok(Some((buffer[..decoded].to_vec(), read + cut))),
                Progress::More { decoded, read } => {
                    cut += read - decoded;
                    buffer.drain(decoded..read);
                    decoder.was_cut();
                }
            }
        }
        Ok(None)
    }

    #[track_caller]
    fn check(input: &str, expected: Result<Option<(&str, usize)>, u16>) {
        let expected = expected.map(|done| done.map(|(body, rest)| (body.as_bytes().to_vec(), input.len() - rest)));
        for step in 1..=input.len().max(1) {
            let got = decode(input.as_bytes(), step, 64).map_err(|refusal| refusal.status);
            assert_eq!(got, expected, "in steps of {step}");
        }
    }

    #[test]
    fn chunks_extensions_and_trailers_are_taken_off() {
        check("0\r\n\r\n", Ok(Some(("", 0))));
        check("5\r\nhello\r\n0\r\n\r\nGET", Ok(Some(("hello", 3))));
        check("000a\r\n0123456789\r\n1;x=\"y;z\"\r\n!\r\n00\r\n\r\n", Ok(Some(("0123456789!", 0))));
        check("1 \t; a\r\nx\r\n0;last\r\nA: b\r\nC-d:\r\n\r\n", Ok(Some(("x", 0))));
        check("5\r\nhel", Ok(None));
        check("0\r\n", Ok(None));
        check("0000000000000000\r\n\r\n", Ok(Some(("", 0))));
    }

    #[test]
    fn any_other_form_is_refused() {
        for input in [
            "\r\n\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\nx\r\n",
            "1 \r\nx\r\n",
            "1\nx\n",
            "1\rx",
            "1;a\nx",
            "1;a\x01\r\n",
            "5\r\nhello0\r\n",
            "5\r\nhello\n0\r\n",
            "5\r\nhello\rx",
            "0\r\nx\r\n",
            "0\r\n x: y\r\n",
            "0\r\n: y\r\n",
            "0\r\na b: c\r\n",
            "0\r\na: b\n",
            "0\r\na: b\rc",
            "0\r\n\rx",
            "00000000000000001\r\n",
            "0\n\n",
        ] {
            check(input, Err(400));
        }
    }

    #[test]
    fn a_body_beyond_the_bound_is_refused_at_the_chunk_that_passes_it() {
        check("41\r\n", Err(413));
        check("40\r\n", Ok(None));
        check(&format!("40\r\n{}\r\n1\r\n", "x".repeat(64)), Err(413));
        check("ffffffffffffffff\r\n", Err(413));
    }
}
