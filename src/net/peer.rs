//! What the system is told about TCP sockets, so that it finds out when a peer is gone, and how much it may hold for
//! one that does not read.
//!
//! A client that closes sends the same as one that half-closes: it may still be reading. The difference shows when its
//! system is asked: one that has closed is forgotten there after some time (a minute on Linux), and its system then
//! answers a probe with a reset. So keep-alive probes tell the two apart, without a byte that a client would see.

use std::{io, os::fd::AsFd, time::Duration};

use mio::net::TcpStream;
use rustix::net::sockopt;

use crate::limits::{
    HALF_CLOSED_PROBE, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, LISTEN_BACKLOG, SEND_BUFFER_BYTES,
};

/// Sets on a listener what the connections that it accepts are to have: they inherit it.
pub(super) fn prepare(listener: &impl AsFd) -> io::Result<()> {
    rustix::net::listen(listener, LISTEN_BACKLOG)?;
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(listener, KEEPALIVE_PROBES)?;
    sockopt::set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES)?;
    limit_unacknowledged(listener, crate::limits::UNACKNOWLEDGED_TIMEOUT)
}

/// Probes a client that has sent its last byte more often: it may have closed.
pub(super) fn probe_half_closed(stream: &TcpStream) {
    // Without it the client is found out later.
    let _ = sockopt::set_tcp_keepidle(stream, HALF_CLOSED_PROBE);
}

/// Says how long data may stay unacknowledged, or a client may take none; zero: until the system's probes stay without
/// an answer.
#[cfg(target_os = "linux")]
pub(super) fn limit_unacknowledged(socket: &impl AsFd, timeout: Duration) -> io::Result<()> {
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(socket, timeout_ms)?)
}

/// Elsewhere the system's own time-outs hold.
#[cfg(not(target_os = "linux"))]
pub(super) fn limit_unacknowledged(_: &impl AsFd, _: Duration) -> io::Result<()> {
    Ok(())
}
