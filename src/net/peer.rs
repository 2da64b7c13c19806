//! TCP socket options that let the system detect lost peers, and bound what it buffers for those that do not read.
//!
//! A client that closes its socket sends the same packet as one that half-closes it and still reads. They differ in how
//! their system answers a probe: it forgets a closed socket after some time (a minute on Linux) and then answers with a
//! reset. So keep-alive probes tell the two apart without sending a byte that a client would see.

use std::{io, os::fd::AsFd, time::Duration};

use mio::net::TcpStream;
use rustix::net::sockopt;

use crate::limits::{
    HALF_CLOSED_PROBE, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, LISTEN_BACKLOG, SEND_BUFFER_BYTES,
};

/// Sets the options on a listener that the connections it accepts inherit.
pub(super) fn prepare(listener: &impl AsFd) -> io::Result<()> {
    rustix::net::listen(listener, LISTEN_BACKLOG)?;
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(listener, KEEPALIVE_PROBES)?;
    sockopt::set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES)?;
    limit_unacknowledged(listener, crate::limits::UNACKNOWLEDGED_TIMEOUT)
}

/// Probes a client that has sent its last byte more often, as it may have closed.
pub(super) fn probe_half_closed(stream: &TcpStream) {
    // If this fails, a closed client is detected later.
    let _ = sockopt::set_tcp_keepidle(stream, HALF_CLOSED_PROBE);
}

/// Limits how long sent data may stay unacknowledged, or unread by the client. With zero, the limit is that of the
/// system's own probes.
#[cfg(target_os = "linux")]
pub(super) fn limit_unacknowledged(socket: &impl AsFd, timeout: Duration) -> io::Result<()> {
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(socket, timeout_ms)?)
}

/// On other systems their own time-outs apply.
#[cfg(not(target_os = "linux"))]
pub(super) fn limit_unacknowledged(_: &impl AsFd, _: Duration) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::limits::UNACKNOWLEDGED_TIMEOUT;

    #[test]
    fn options_of_a_listener_apply_to_the_connections_that_it_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        prepare(&listener).expect("the system takes it");
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).expect("the port is open");
        let (accepted, _) = listener.accept().expect("a connection");
        assert!(sockopt::socket_keepalive(&accepted).expect("an option"));
        assert_eq!(sockopt::tcp_keepidle(&accepted).expect("an option"), KEEPALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepintvl(&accepted).expect("an option"), KEEPALIVE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&accepted).expect("an option"), KEEPALIVE_PROBES);
        #[cfg(target_os = "linux")]
        {
            let timeout_ms = sockopt::tcp_user_timeout(&accepted).expect("an option");
            assert_eq!(u128::from(timeout_ms), UNACKNOWLEDGED_TIMEOUT.as_millis());
            // Linux doubles the value.
            assert_eq!(sockopt::socket_send_buffer_size(&accepted).expect("an option"), 2 * SEND_BUFFER_BYTES);
        }
    }
}
