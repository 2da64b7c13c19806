//! HTTP/1.1 as this client needs it: one request on a connection, and its reply, read as it comes.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    os::fd::AsFd,
    time::Duration,
};

use httparse::Status;
use steprill::limits::{CLIENT_HEAD_BYTES_MAX, CLIENT_SILENCE_TIMEOUT, HEAD_FIELDS_MAX};

use super::link::{ServerAddress, Socket, Woken, wait};

/// A request that is sent whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    /// Sent as `Authorization: Bearer`.
    pub(super) token: Option<&'a str>,
    pub(super) body: Option<&'a str>,
}

/// The reply. Its body is read in parts.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    socket: Socket,
    /// Bytes that were read and are not decoded yet.
    buffer: Vec<u8>,
    framing: Framing,
}

/// What comes next of a body.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Framing {
    Bytes(u64),
    ChunkSize,
    Chunk(u64),
    /// The end of the line after a chunk.
    ChunkEnd,
    Trailers,
    UntilClose,
    Ended,
}

/// What reading a body has brought.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Progress {
    Bytes,
    Ended,
    /// Nothing arrived in the given time.
    Silent,
    Interrupted,
}

/// Why there is no reply, or not all of it.
#[derive(Debug)]
pub(super) enum HttpError {
    /// No connection: the server may not be running.
    Unreachable(io::Error),
    /// The connection was lost; what was sent may have been done.
    Lost(String),
    /// The reply is not HTTP/1.1.
    Malformed(&'static str),
    Interrupted,
}

impl Response {
    /// Connects, sends a request, and reads the reply's head.
    pub(super) fn to(address: &ServerAddress, request: &Request<'_>) -> Result<Self, HttpError> {
        let mut socket = address.connect().map_err(HttpError::Unreachable)?;
        let lost = |error: io::Error| HttpError::Lost(error.to_string());
        // A server that refuses a request may close before it has read all of it, and has replied nevertheless.
        let sent = socket.write_all(&encode(address, request));
        let mut buffer = Vec::new();
        loop {
            if let Some((head, length)) = parse_head(&buffer, request.method)? {
                buffer.drain(..length);
                if head.status >= 200 {
                    return Ok(Self {
                        status: head.status,
                        headers: head.headers,
                        socket,
                        buffer,
                        framing: head.framing,
                    });
                }
                continue;
            }
            match wait(Some(socket.as_fd()), Some(CLIENT_SILENCE_TIMEOUT)).map_err(lost)? {
                Woken::Interrupt => return Err(HttpError::Interrupted),
                Woken::Late => return Err(HttpError::Lost("no reply came".to_owned())),
                Woken::Readable => {
                    if read_some(&mut socket, &mut buffer).map_err(lost)? == 0 {
                        sent.map_err(lost)?;
                        return Err(HttpError::Lost("the server closed the connection without a reply".to_owned()));
                    }
                }
            }
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Appends what has arrived of the body to `out`. Waits for it at most this long.
    pub(super) fn read(&mut self, out: &mut Vec<u8>, at_most: Duration) -> Result<Progress, HttpError> {
        let lost = |error: io::Error| HttpError::Lost(error.to_string());
        let before = out.len();
        loop {
            self.decode(out)?;
            if out.len() > before {
                return Ok(Progress::Bytes);
            }
            if self.framing == Framing::Ended {
                return Ok(Progress::Ended);
            }
            match wait(Some(self.socket.as_fd()), Some(at_most)).map_err(lost)? {
                Woken::Interrupt => return Ok(Progress::Interrupted),
                Woken::Late => return Ok(Progress::Silent),
                Woken::Readable => {}
            }
            if read_some(&mut self.socket, &mut self.buffer).map_err(lost)? == 0 {
                if self.framing != Framing::UntilClose {
                    return Err(HttpError::Lost("the server closed the connection".to_owned()));
                }
                self.framing = Framing::Ended;
            }
        }
    }

    /// Moves what the buffer has of the body to `out`.
    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), HttpError> {
        loop {
            self.framing = match self.framing {
                Framing::Ended => return Ok(()),
                Framing::UntilClose => {
                    out.append(&mut self.buffer);
                    return Ok(());
                }
                Framing::Bytes(0) => Framing::Ended,
                Framing::Chunk(0) => Framing::ChunkEnd,
                Framing::Bytes(left) | Framing::Chunk(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    if count == 0 {
                        return Ok(());
                    }
                    out.extend(self.buffer.drain(..count));
                    let left = left - count as u64;
                    if matches!(self.framing, Framing::Bytes(_)) { Framing::Bytes(left) } else { Framing::Chunk(left) }
                }
                Framing::ChunkSize => match httparse::parse_chunk_size(&self.buffer) {
                    Ok(Status::Complete((length, size))) => {
                        self.buffer.drain(..length);
                        if size == 0 { Framing::Trailers } else { Framing::Chunk(size) }
                    }
                    Ok(Status::Partial) if self.buffer.len() <= CLIENT_HEAD_BYTES_MAX => return Ok(()),
                    _ => return Err(HttpError::Malformed("a chunk without a size")),
                },
                Framing::ChunkEnd if self.buffer.len() < 2 => return Ok(()),
                Framing::ChunkEnd if self.buffer.starts_with(b"\r\n") => {
                    self.buffer.drain(..2);
                    Framing::ChunkSize
                }
                Framing::ChunkEnd => return Err(HttpError::Malformed("a chunk longer than its size")),
                Framing::Trailers => match self.buffer.windows(2).position(|two| two == b"\r\n") {
                    Some(0) => Framing::Ended,
                    Some(at) => {
                        self.buffer.drain(..at + 2);
                        Framing::Trailers
                    }
                    None if self.buffer.len() <= CLIENT_HEAD_BYTES_MAX => return Ok(()),
                    None => return Err(HttpError::Malformed("trailers without an end")),
                },
            };
        }
    }
}

fn encode(address: &ServerAddress, request: &Request<'_>) -> Vec<u8> {
    let Request { method, path, accept, token, body } = request;
    let mut head = format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n", address.prefix(), address.host());
    let _ = write!(head, "Accept: {accept}\r\nConnection: close\r\nUser-Agent: steprill\r\n");
    if let Some(token) = token {
        let _ = write!(head, "Authorization: Bearer {token}\r\n");
    }
    if let Some(body) = body {
        let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    head.push_str(body.unwrap_or_default());
    head.into_bytes()
}

/// Reads once. Returns the number of bytes, 0 at the end.
fn read_some(socket: &mut Socket, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = [0; 16 << 10];
    let count = socket.read(&mut bytes)?;
    buffer.extend_from_slice(&bytes[..count]);
    Ok(count)
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
}

/// Parses a head and returns its length, or `None` if it is incomplete.
fn parse_head(bytes: &[u8], method: &str) -> Result<Option<(Head, usize)>, HttpError> {
    let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() <= CLIENT_HEAD_BYTES_MAX => return Ok(None),
        _ => return Err(HttpError::Malformed("the head of the reply")),
    };
    let status = response.code.unwrap_or_default();
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).trim().to_owned()))
        .collect();
    let header =
        |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let framing = if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        Framing::Ended
    } else if let Some(coding) = header("Transfer-Encoding") {
        if !coding.eq_ignore_ascii_case("chunked") {
            return Err(HttpError::Malformed("a transfer coding other than chunked"));
        }
        Framing::ChunkSize
    } else if let Some(length) = header("Content-Length") {
        Framing::Bytes(length.parse().map_err(|_| HttpError::Malformed("the length of the body"))?)
    } else {
        Framing::UntilClose
    };
    Ok(Some((Head { status, headers, framing }, length)))
}
