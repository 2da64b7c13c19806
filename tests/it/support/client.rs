//! A small HTTP/1.1 client: it sends exactly what the test wrote, and shows exactly what it read.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
};

use serde_json::Value;

use super::PATIENCE;

/// One connection. Reads fail the test after [`PATIENCE`].
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    host: String,
    /// Bytes that were read and are not used yet.
    buffer: Vec<u8>,
    body: Framing,
}

/// A reply: its head, and as much of its body as was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.write_all(bytes),
            Self::Unix(socket) => socket.write_all(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(bytes),
            Self::Unix(socket) => socket.read(bytes),
        }
    }

    fn half_close(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}

/// How the body that is being read ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Framing {
    Ended,
    Length(usize),
    Chunked,
    Close,
}

impl Connection {
    pub(crate) fn tcp(socket: TcpStream, host: &str) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
        socket.set_nodelay(true).expect("a TCP socket");
        Self::new(Socket::Tcp(socket), host)
    }

    /// Connects to a server that may be gone.
    pub(crate) fn reach(host: &str) -> Option<Self> {
        TcpStream::connect(host).ok().map(|socket| Self::tcp(socket, host))
    }

    pub(crate) fn unix(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
        Self::new(Socket::Unix(socket), "localhost")
    }

    fn new(socket: Socket, host: &str) -> Self {
        Self { socket, host: host.to_owned(), buffer: Vec::new(), body: Framing::Ended }
    }

    /// Sends one request and reads the complete reply.
    #[track_caller]
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Response {
        self.send(method, path, headers, body);
        let mut response = self.head();
        if method == "HEAD" {
            self.body = Framing::Ended;
        }
        response.body = self.rest();
        response
    }

    /// Sends a request to a server that may die, and reads the reply until it is complete, the connection is lost, or
    /// `is_enough` returns true for the body so far. Returns what was received and whether it is complete; nothing if
    /// the head is not.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        mut is_enough: impl FnMut(&[u8]) -> bool,
    ) -> Option<(Response, bool)> {
        let lost = |lost| match lost {
            Lost::Closed => {}
            Lost::Failed { .. } => panic!("{method} {path}: no reply in time: {lost:?}"),
        };
        self.socket.write_all(&self.encode(method, path, &[("Connection", "close")], Some(body))).ok()?;
        let mut response = self.try_head().map_err(lost).ok()?;
        loop {
            match self.try_piece().map_err(lost) {
                Ok(Some(piece)) => response.body.extend(piece),
                Ok(None) => return Some((response, true)),
                Err(()) => {
                    // The last chunk may have come in part.
                    let start = self.buffer.windows(2).position(|window| window == b"\r\n").map(|end| end + 2);
                    response.body.extend(start.map_or(&[][..], |start| &self.buffer[start..]));
                    return Some((response, false));
                }
            }
            if is_enough(&response.body) {
                return Some((response, false));
            }
        }
    }

    /// Sends `GET path`. Returns the status, or nothing if the server refuses or drops the connection.
    pub(crate) fn try_request(&mut self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.socket.write_all(request.as_bytes()).ok()?;
        self.status()
    }

    /// Returns the status of a reply, or nothing if the server closes without one.
    pub(crate) fn status(&mut self) -> Option<u16> {
        self.until(b"\r\n").ok()?;
        std::str::from_utf8(&self.buffer[9..12]).ok()?.parse().ok()
    }

    /// Sends one request. Adds `Host` if it is not among the headers.
    #[track_caller]
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) {
        self.write(&self.encode(method, path, headers, body));
    }

    fn encode(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Vec<u8> {
        let mut lines = vec![format!("{method} {path} HTTP/1.1")];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            lines.push(format!("Host: {}", self.host));
        }
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.extend(body.map(|body| format!("Content-Length: {}", body.len())));
        let head = lines.join("\r\n") + "\r\n\r\n";
        [head.as_bytes(), body.unwrap_or_default()].concat()
    }

    /// Sends bytes unchanged.
    #[track_caller]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server reads");
    }

    /// Shuts down sending, and continues to read.
    pub(crate) fn half_close(&self) {
        self.socket.half_close().expect("the connection is open");
    }

    /// Reads a reply's head; [`Self::line`] or [`Self::rest`] read its body.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Response {
        self.try_head().unwrap_or_else(|lost| panic!("no reply: {lost:?}"))
    }

    fn try_head(&mut self) -> Result<Response, Lost> {
        let mut response = Response::default();
        let end = self.until(b"\r\n\r\n")?;
        let text = String::from_utf8(self.buffer.drain(..end).collect()).expect("an ASCII head");
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        response.status = status[..3].parse().expect("a status");
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header field");
            response.headers.push((name.to_owned(), value.to_owned()));
        }
        self.body = match (response.header("transfer-encoding"), response.header("content-length")) {
            _ if response.status < 200 || matches!(response.status, 204 | 304) => Framing::Ended,
            (Some("chunked"), _) => Framing::Chunked,
            (_, Some(length)) => Framing::Length(length.parse().expect("a length")),
            _ => Framing::Close,
        };
        Ok(response)
    }

    /// Reads the reply to a HEAD.
    #[track_caller]
    pub(crate) fn head_alone(&mut self) -> Response {
        let response = self.head();
        self.body = Framing::Ended;
        response
    }

    /// Reads the next line of a chunked body, without its end; `None` at the end of the body. Every event ends a line.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            let mut piece = self.piece()?;
            if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
                let rest = piece.split_off(end + 1);
                self.put_back(&rest);
                line.extend(&piece[..end]);
                return Some(String::from_utf8(line).expect("UTF-8"));
            }
            line.extend(piece);
        }
    }

    /// Reads the next event of an NDJSON stream; `None` at its end.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Option<Value> {
        self.line().map(|line| serde_json::from_str(&line).expect("an event"))
    }

    /// Reads events of an NDJSON stream up to one of this type.
    #[track_caller]
    pub(crate) fn event_of(&mut self, name: &str) -> Value {
        loop {
            let event = self.event().unwrap_or_else(|| panic!("the stream ended before a {name}"));
            if event["type"] == name {
                return event;
            }
        }
    }

    /// Reads the rest of the body.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece() {
            body.extend(piece);
        }
        body
    }

    /// Reads a chunked body until it ends or is cut off.
    pub(crate) fn rest_or_cut(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(piece)) = self.try_piece() {
            body.extend(piece);
        }
        body
    }

    /// Returns whether nothing has arrived that was not read.
    #[track_caller]
    pub(crate) fn is_silent(&mut self) -> bool {
        let Socket::Tcp(socket) = &self.socket else { panic!("a TCP connection") };
        socket.set_nonblocking(true).expect("a socket");
        let peeked = socket.peek(&mut [0]);
        socket.set_nonblocking(false).expect("a socket");
        self.buffer.is_empty() && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until the peer closes the connection or sends something. Returns whether it closed.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill(), Err(Lost::Closed))
    }

    /// Returns whether a chunked body breaks off: the connection ends before the last chunk.
    #[track_caller]
    pub(crate) fn breaks_off(&mut self) -> bool {
        assert_eq!(self.body, Framing::Chunked, "a chunked body is being read");
        loop {
            match self.try_piece() {
                Err(Lost::Closed) => return true,
                Err(other) => panic!("neither an end nor a chunk: {other:?}"),
                Ok(None) => return false,
                Ok(Some(_)) => {}
            }
        }
    }

    /// Reads some bytes of the body; `None` at its end.
    #[track_caller]
    fn piece(&mut self) -> Option<Vec<u8>> {
        self.try_piece().unwrap_or_else(|lost| panic!("the body breaks off, {:?}: {lost:?}", self.body))
    }

    fn try_piece(&mut self) -> Result<Option<Vec<u8>>, Lost> {
        match self.body {
            Framing::Ended | Framing::Length(0) => {
                self.body = Framing::Ended;
                Ok(None)
            }
            Framing::Length(length) => {
                while self.buffer.is_empty() {
                    self.fill()?;
                }
                let taken = length.min(self.buffer.len());
                self.body = Framing::Length(length - taken);
                Ok(Some(self.buffer.drain(..taken).collect()))
            }
            Framing::Close => {
                while self.buffer.is_empty() {
                    match self.fill() {
                        Ok(()) => {}
                        Err(Lost::Closed) => return Ok(None),
                        Err(lost) => return Err(lost),
                    }
                }
                Ok(Some(std::mem::take(&mut self.buffer)))
            }
            Framing::Chunked => {
                let start = self.until(b"\r\n")?;
                let size = std::str::from_utf8(&self.buffer[..start]).expect("a chunk's size");
                let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk's size");
                while self.buffer.len() < start + size + 2 {
                    self.fill()?;
                }
                let mut chunk: Vec<u8> = self.buffer.drain(..start + size + 2).skip(start).collect();
                assert_eq!(chunk.split_off(size), b"\r\n", "the end of a chunk");
                if size == 0 {
                    self.body = Framing::Ended;
                    return Ok(None);
                }
                Ok(Some(chunk))
            }
        }
    }

    /// Puts back bytes of a body, to be read again.
    fn put_back(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut front = match self.body {
            Framing::Chunked => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
            Framing::Length(length) => {
                self.body = Framing::Length(length + bytes.len());
                bytes.to_vec()
            }
            Framing::Close => bytes.to_vec(),
            Framing::Ended => panic!("nothing is being read"),
        };
        front.append(&mut self.buffer);
        self.buffer = front;
    }

    /// Reads until `end` is in the buffer. Returns the position after it.
    fn until(&mut self, end: &[u8]) -> Result<usize, Lost> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Ok(at + end.len());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Lost> {
        let mut bytes = [0; 16 << 10];
        match self.socket.read(&mut bytes) {
            Ok(0) => Err(Lost::Closed),
            Ok(length) => {
                self.buffer.extend(&bytes[..length]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Lost::Closed),
            // Caused by a signal of another test in this process.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Lost::Failed { _error: error }),
        }
    }
}

/// Why there are no more bytes.
#[derive(Debug)]
enum Lost {
    Closed,
    Failed { _error: io::Error },
}

impl Response {
    /// Returns the value of a header field, by name in any case. A field that occurs twice fails the test.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice: {:?}", self.headers);
        value
    }

    /// Returns the body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// Returns the body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Returns the body as the events of an NDJSON stream.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }
}
