//! Addresses to listen on.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (127.0.0.1) or `unix:/run/steprill.sock`.
///
/// ```
/// use steprill::Address;
///
/// assert_eq!("localhost:0".parse::<Address>().unwrap().to_string(), "127.0.0.1:0");
/// assert_eq!("unix:/tmp/s".parse(), Ok(Address::Unix("/tmp/s".into())));
/// assert!("8080".parse::<Address>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// An IP address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Returns whether the address can be reached only from this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => is_loopback(address),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(AddressError(text.into())) } else { Ok(Self::Unix(path.into())) };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        match text.strip_prefix("localhost:").map(str::parse) {
            Some(Ok(port)) => Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into())),
            _ => Err(AddressError(text.into())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// A text that is not an [`Address`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "expected an address like 127.0.0.1:8080, [::1]:8080 or unix:/path/of/socket, got '{}'", self.0)
    }
}

impl std::error::Error for AddressError {}

/// Returns whether an address is a loopback one, including an IPv4 address shown by an IPv6 socket.
pub(super) fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
