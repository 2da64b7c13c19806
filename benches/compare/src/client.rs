//! The client side of HTTP/1.1, as far as the load needs it.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use memchr::memmem;
use mio::{Interest, Registry, Token, net::TcpStream};

use crate::Result;

/// One keep-alive connection.
pub struct Client {
    socket: TcpStream,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr, registry: &Registry, token: usize) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        registry.register(&mut socket, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { socket, output: Vec::new(), input: Vec::new() })
    }

    /// Sends a request as far as the socket takes it; [`Client::flush`] sends the rest.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(request);
        self.flush()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads everything that has arrived.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the body of the next reply, once it is complete.
    pub fn reply(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(head) = self.peek_head()? else { return Ok(None) };
        let end = head.bytes + head.body_bytes;
        if self.input.len() < end {
            return Ok(None);
        }
        let body = self.input[head.bytes..end].to_vec();
        self.input.drain(..end);
        Ok(Some(body))
    }

    /// Removes the head of the next reply. Returns whether it was there.
    pub fn head(&mut self) -> Result<bool> {
        let Some(head) = self.peek_head()? else { return Ok(false) };
        self.input.drain(..head.bytes);
        Ok(true)
    }

    /// Removes and returns the bytes that are left.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    fn peek_head(&self) -> Result<Option<Head>> {
        let Some(end) = memmem::find(&self.input, b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&self.input[..end])?;
        if text.get(9..12) != Some("200") {
            return Err(format!("expected 200, got {}", String::from_utf8_lossy(&self.input)).into());
        }
        let mut body_bytes = 0;
        for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse()?;
            }
        }
        Ok(Some(Head { bytes: end + 4, body_bytes }))
    }
}

struct Head {
    bytes: usize,
    body_bytes: usize,
}

/// Counts the events of a chunked SSE body.
#[derive(Default)]
pub struct EventCounter {
    chunk: Chunk,
    line_is_empty: bool,
    pub events: u64,
}

enum Chunk {
    Size {
        bytes: u64,
        in_extension: bool,
    },
    Data {
        bytes_left: u64,
    },
    /// The line end after the data.
    DataEnd,
    Last,
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Size { bytes: 0, in_extension: false }
    }
}

impl EventCounter {
    pub fn is_at_end(&self) -> bool {
        matches!(self.chunk, Chunk::Last)
    }

    pub fn handle(&mut self, mut input: &[u8]) -> Result<()> {
        while let Some(&byte) = input.first() {
            match &mut self.chunk {
                Chunk::Data { bytes_left } => {
                    let here = input.len().min(usize::try_from(*bytes_left)?);
                    *bytes_left -= here as u64;
                    if *bytes_left == 0 {
                        self.chunk = Chunk::DataEnd;
                    }
                    self.count(&input[..here]);
                    input = &input[here..];
                    continue;
                }
                Chunk::DataEnd if byte == b'\n' => self.chunk = Chunk::default(),
                Chunk::Size { bytes: 0, .. } if byte == b'\n' => self.chunk = Chunk::Last,
                Chunk::Size { bytes, .. } if byte == b'\n' => self.chunk = Chunk::Data { bytes_left: *bytes },
                Chunk::Size { in_extension, .. } if byte == b';' => *in_extension = true,
                Chunk::Size { bytes, in_extension: false } if byte != b'\r' => {
                    let digit = char::from(byte).to_digit(16).ok_or("expected the size of a chunk")?;
                    *bytes = *bytes * 16 + u64::from(digit);
                }
                Chunk::DataEnd | Chunk::Size { .. } => {}
                Chunk::Last => return Ok(()),
            }
            input = &input[1..];
        }
        Ok(())
    }

    /// Counts events, each of which ends with an empty line.
    fn count(&mut self, data: &[u8]) {
        let mut line_start = 0;
        for end in memchr::memchr_iter(b'\n', data) {
            let is_empty = end == line_start && (end > 0 || self.line_is_empty);
            self.events += u64::from(is_empty);
            line_start = end + 1;
        }
        self.line_is_empty = line_start == data.len();
    }
}

/// Returns a POST request with a JSON body.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n\
         {body}"
    )
    .into_bytes()
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}
