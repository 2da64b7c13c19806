//! The connection to a server: where it is, the socket, and waiting for bytes, Ctrl-C or a time.

use std::{
    env,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::OnceLock,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::{consts::SIGINT, low_level::pipe};
use steprill::limits::{CLIENT_CONNECT_TIMEOUT, CLIENT_SILENCE_TIMEOUT};

use super::failure::{Failure, Result};

/// Where a server is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum ServerAddress {
    /// The host and port, as in `Host`, and what precedes every path: `/api` behind a proxy.
    Http { host: String, prefix: String },
    /// The path of a unix socket.
    Unix(String),
}

impl ServerAddress {
    /// Returns the server that the option names, or the variable, or else the one on the default port.
    pub(super) fn chosen(option: Option<&str>) -> Result<Self> {
        let variable = env::var("STEPRILL_SERVER").ok().filter(|value| !value.is_empty());
        match (option, variable) {
            (Some(text), _) => Self::parse(text).map_err(|error| Failure::usage(format!("--server: {error}"))),
            (None, Some(text)) => {
                Self::parse(&text).map_err(|error| Failure::usage(format!("STEPRILL_SERVER: {error}")))
            }
            (None, None) => Ok(Self::Http { host: "127.0.0.1:8080".to_owned(), prefix: String::new() }),
        }
    }

    /// Parses `http://HOST[:PORT][/PREFIX]`, `HOST:PORT` or `unix:PATH`.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let expected = || format!("expected a URL such as http://127.0.0.1:8080, or unix:PATH, got '{text}'");
        if let Some(path) = text.strip_prefix("unix:").map(|path| path.trim_start_matches("//")) {
            return if path.is_empty() { Err(expected()) } else { Ok(Self::Unix(path.to_owned())) };
        }
        if text.starts_with("https:") {
            let instead = "use a proxy on this machine that adds it, or curl";
            return Err(format!("'{text}': this program speaks plain HTTP, without TLS; {instead}"));
        }
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let (host, prefix) = bare.split_at(bare.find('/').unwrap_or(bare.len()));
        let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let is_host = has_port || (text != bare && !host.contains(':')) || host.ends_with(']');
        if host.is_empty() || !is_host || !is_plain(bare) || text.contains("://") && text == bare {
            return Err(expected());
        }
        Ok(Self::Http { host: host.to_owned(), prefix: prefix.trim_end_matches('/').to_owned() })
    }

    pub(super) fn host(&self) -> &str {
        match self {
            Self::Http { host, .. } => host,
            Self::Unix(_) => "localhost",
        }
    }

    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Http { prefix, .. } => prefix,
            Self::Unix(_) => "",
        }
    }

    pub(super) fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_write_timeout(Some(CLIENT_SILENCE_TIMEOUT))?;
                Ok(Socket::Unix(socket))
            }
            Self::Http { host, .. } => {
                let has_port = !host.ends_with(']') && host.contains(':');
                let named = if has_port { host.clone() } else { format!("{host}:80") };
                let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in named.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CLIENT_CONNECT_TIMEOUT) {
                        Ok(socket) => {
                            socket.set_write_timeout(Some(CLIENT_SILENCE_TIMEOUT))?;
                            socket.set_nodelay(true)?;
                            return Ok(Socket::Tcp(socket));
                        }
                        Err(error) => refused = error,
                    }
                }
                Err(refused)
            }
        }
    }
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http { host, prefix } => write!(formatter, "http://{host}{prefix}"),
            Self::Unix(path) => write!(formatter, "unix:{path}"),
        }
    }
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(bytes),
            Self::Unix(socket) => socket.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Woken {
    Readable,
    Interrupt,
    Late,
}

/// From now on Ctrl-C ends waits instead of the program.
pub(super) fn watch_interrupts() -> Result<()> {
    let watch = || -> io::Result<UnixStream> {
        let (ours, handlers) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        pipe::register(SIGINT, handlers)?;
        Ok(ours)
    };
    if INTERRUPTS.get().is_none() {
        let ours = watch().map_err(|error| Failure::new(format!("cannot watch for Ctrl-C: {error}")))?;
        INTERRUPTS.get_or_init(|| ours);
    }
    Ok(())
}

/// Waits until there is something to read, for Ctrl-C, or at most this long.
pub(super) fn wait(readable: Option<BorrowedFd<'_>>, at_most: Option<Duration>) -> io::Result<Woken> {
    let interrupts = INTERRUPTS.get();
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(2);
    polled.extend(interrupts.map(|ours| PollFd::new(ours, PollFlags::IN)));
    polled.extend(readable.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    let at_most = at_most.and_then(|time| Timespec::try_from(time).ok());
    let ready = loop {
        match poll(&mut polled, at_most.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            done => break done?,
        }
    };
    if let Some(mut ours) = interrupts.filter(|_| !polled[0].revents().is_empty()) {
        let mut bytes = [0; 64];
        while ours.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
        return Ok(Woken::Interrupt);
    }
    Ok(if ready == 0 { Woken::Late } else { Woken::Readable })
}

/// The end of a pipe into which the handler of SIGINT writes, once it is installed.
static INTERRUPTS: OnceLock<UnixStream> = OnceLock::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_or_a_unix_socket() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://example/", "http://example"),
            ("http://example:81/api/", "http://example:81/api"),
            ("localhost:9", "http://localhost:9"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("unix:/run/s", "unix:/run/s"),
            ("unix:s", "unix:s"),
        ] {
            assert_eq!(ServerAddress::parse(text).map(|address| address.to_string()).as_deref(), Ok(shown), "{text}");
        }
        for text in
            ["", "unix:", "http://", "example", "ftp://a:1", "http://a b:1", "a:b", "http://a:1?x", "http://a:x"]
        {
            assert!(ServerAddress::parse(text).unwrap_err().contains("expected a URL"), "{text}");
        }
        assert!(ServerAddress::parse("https://a").unwrap_err().contains("without TLS"));
    }
}
