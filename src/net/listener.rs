//! Listening sockets.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    path::{Path, PathBuf},
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, UnixListener},
};
use rustix::{
    io::FdFlags,
    net::{AddressFamily, SocketAddrUnix, SocketType},
};

use super::{
    address::{Address, is_loopback},
    connection::{Origin, Socket},
    peer,
};
use crate::limits::LISTEN_BACKLOG;

/// A listening socket. The file of a unix socket is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    kind: Kind,
    address: Address,
    /// Whether connections may be waiting to be accepted. Readiness is reported only once.
    pub(super) pending: bool,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Listener {
    /// # Errors
    /// The system's error, with the address added to its text.
    pub(super) fn bind(address: &Address, socket_mode: u32) -> io::Result<Self> {
        Self::bind_bare(address, socket_mode)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {}", reason(&error))))
    }

    fn bind_bare(address: &Address, socket_mode: u32) -> io::Result<Self> {
        let (kind, address) = match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(*address)?;
                peer::prepare(&listener)?;
                let address = listener.local_addr()?;
                (Kind::Tcp(listener), Address::Tcp(address))
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let (listener, file) = bind_unix(path, socket_mode)?;
                (Kind::Unix { listener, _file: file }, Address::Unix(path.clone()))
            }
        };
        Ok(Self { kind, address, pending: false })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.kind {
            Kind::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Kind::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
        }
    }

    /// Returns the address, with the port that the system chose.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// # Errors
    /// `WouldBlock` if no connection waits, else the system's error.
    pub(super) fn accept(&self) -> io::Result<(Socket, Origin)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Replies are written whole; waiting to combine them (Nagle's algorithm, RFC 896) would only delay
                // them.
                stream.set_nodelay(true)?;
                let loopback = match &self.address {
                    Address::Tcp(address) if !address.ip().is_unspecified() => is_loopback(address),
                    _ => is_loopback(&stream.local_addr()?),
                };
                Ok((Socket::Tcp(stream), Origin::Tcp { loopback }))
            }
            Kind::Unix { listener, .. } => Ok((Socket::Unix(listener.accept()?.0), Origin::Unix)),
        }
    }
}

/// The file of a unix socket. Dropping it removes the file unless another server has replaced it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.into(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns the error's text, followed by what to do about it if that is known.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "in use; choose another with --listen".into(),
        ErrorKind::PermissionDenied => "permission denied; choose another with --listen".into(),
        ErrorKind::AddrNotAvailable => "not an address of this machine; choose another with --listen".into(),
        _ => error.to_string(),
    }
}

/// Listens on a socket whose file has exactly this mode. The socket does not listen before the mode is set, so nobody
/// can connect earlier. On Linux the file never has wider permissions.
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let permissions = Permissions::from_mode(mode);
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    let socket = fs::File::from(socket);
    // Not every system allows this; the next call sets the mode everywhere.
    let _ = socket.set_permissions(permissions.clone());
    let socket = OwnedFd::from(socket);
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile::new(path)?;
    fs::set_permissions(path, permissions)?;
    rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    let listener = StdUnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener), file))
}

/// Removes a socket left behind by a server that has died.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file of that name which is no socket"))
        }
        Ok(_) => match StdUnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another server answers there")),
        },
    }
}
