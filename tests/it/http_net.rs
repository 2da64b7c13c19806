//! The reactor with real sockets: one thread drives both ends, and every wait is for an event.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use steprill::{
    client_id::ClientId,
    http::{Limits, Response},
    limits::{OUTPUT_HIGH_WATER_BYTES, SEND_BUFFER_BYTES, SOCKET_MODE_DEFAULT},
    net::{Address, Closed, Origin, Reactor},
    now::Now,
};

/// A server whose replies are decided here: `GET /stream` opens a stream that is pulled from `source_bytes`, `/wait`
/// waits for the test, everything else is echoed.
struct Echo {
    reactor: Reactor,
    start: Instant,
    /// How far the clock is ahead of the time that has really passed.
    skipped_us: u64,
    streams: Vec<ClientId>,
    waiting: Vec<ClientId>,
    hung_up: Vec<ClientId>,
    closed: Vec<Closed>,
    served: usize,
    /// How many bytes streams still have to send.
    source_bytes: usize,
}

/// Long enough that only a hang reaches it, even on the slowest machine.
const WAIT: Duration = Duration::from_mins(2);

impl Echo {
    fn new(connections_max: usize) -> Self {
        Self::on("127.0.0.1:0", connections_max)
    }

    fn on(address: &str, connections_max: usize) -> Self {
        Self::with(address, Limits::default(), connections_max)
    }

    fn with(address: &str, limits: Limits, connections_max: usize) -> Self {
        let address = address.parse().unwrap();
        Self {
            reactor: Reactor::bind(&[address], SOCKET_MODE_DEFAULT, limits, connections_max).unwrap(),
            start: Instant::now(),
            skipped_us: 0,
            streams: Vec::new(),
            waiting: Vec::new(),
            hung_up: Vec::new(),
            closed: Vec::new(),
            served: 0,
            source_bytes: 0,
        }
    }

    fn address(&self) -> SocketAddr {
        match self.reactor.local_addresses().next() {
            Some(Address::Tcp(address)) => *address,
            other => panic!("{other:?}"),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    fn now(&self) -> Now {
        Now { wall_us: 784_111_777_000_000, alive_us: self.start.elapsed().as_micros() as u64 + self.skipped_us }
    }

    /// Runs one turn of the loop. Waits only for the server's sockets, and briefly, as the client's may be ready.
    fn turn(&mut self) {
        self.reactor.poll(Some(Duration::from_millis(5))).unwrap();
        let now = self.now();
        self.reactor.handle_ready(now);
        self.serve(now);
        self.reactor.flush(now);
        while let Some(closed) = self.reactor.next_closed() {
            self.streams.retain(|id| *id != closed.id);
            self.waiting.retain(|id| *id != closed.id);
            self.closed.push(closed);
        }
    }

    fn serve(&mut self, now: Now) {
        while let Some(id) = self.reactor.next_ready() {
            let Some(connection) = self.reactor.connection(id) else { continue };
            let exchange = connection.exchange();
            exchange.take_body(now);
            let mut fields = [None; 7];
            if let Some(request) = exchange.request(&mut fields) {
                self.served += 1;
                let reply = Response {
                    status: 200,
                    content_type: Some("text/plain"),
                    headers: Vec::new(),
                    body: [request.path.as_bytes(), b" ", request.body].concat(),
                    shared: None,
                };
                let path = request.path.to_owned();
                exchange.accept_request(&b""[..]);
                match path.as_str() {
                    "/stream" => {
                        exchange.hang_up_on_end(true);
                        exchange.start_stream(&Response { body: Vec::new(), ..reply }, now);
                        self.streams.push(id);
                    }
                    "/wait" => self.waiting.push(id),
                    _ => exchange.respond(&reply, now),
                }
            }
            if exchange.hung_up() {
                exchange.close();
                self.hung_up.push(id);
            }
            let room = exchange.stream_room().min(self.source_bytes);
            exchange.stream(now, |out| out.resize(out.len() + room, b'~'));
            self.source_bytes -= room;
        }
    }

    /// Runs turns until `done` returns true. Fails the test if that takes too long.
    #[track_caller]
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + WAIT;
        while !done(self) {
            assert!(Instant::now() < deadline, "it did not happen");
            self.turn();
        }
    }

    /// Returns what the client has read once it ends in `end`, or once the server closes.
    #[track_caller]
    fn read_until(&mut self, client: &mut impl Read, end: &str) -> String {
        let mut text = Vec::new();
        self.until(|_| {
            let mut buffer = [0; 4_096];
            match client.read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => text.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}, after {}", text.escape_ascii()),
            }
            text.ends_with(end.as_bytes())
        });
        String::from_utf8(text).unwrap()
    }

    fn is_at_end(&mut self, client: &mut impl Read) -> bool {
        self.read_until(client, "\0nothing\0").is_empty()
    }
}

fn bodies(replies: &str) -> Vec<&str> {
    replies.split("HTTP/1.1 200 OK\r\n").skip(1).map(|reply| reply.split_once("\r\n\r\n").unwrap().1).collect()
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let mut echo = Echo::new(10);
    let mut client = echo.connect();
    let requests = [
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "GET /c HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    client.write_all(requests.concat().as_bytes()).unwrap();
    let replies = echo.read_until(&mut client, "/c ");
    assert_eq!(bodies(&replies), ["/a ", "/b hi", "/c "]);
    client.write_all(b"GET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert!(echo.read_until(&mut client, "\0nothing\0").ends_with("/d "));
    assert_eq!(echo.reactor.connection_count(), 0);
    assert_eq!(echo.closed.len(), 1);
}

#[test]
fn a_half_closed_client_gets_all_its_replies() {
    let mut echo = Echo::new(10);
    let mut client = echo.connect();
    client.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    echo.until(|echo| !echo.waiting.is_empty());
    let (id, now) = (echo.waiting[0], echo.now());
    for _ in 0..3 {
        echo.reactor.poll(Some(Duration::ZERO)).unwrap();
        echo.reactor.handle_ready(now);
    }
    let reply = Response { status: 200, body: b"late".to_vec(), ..Response::default() };
    echo.reactor.connection(id).unwrap().exchange().respond(&reply, now);
    let replies = echo.read_until(&mut client, "\0nothing\0");
    assert_eq!(bodies(&replies), ["late", "/b "]);
    assert!(replies.contains("Connection: close\r\n"));
}

#[test]
fn a_disconnect_on_a_stream_is_noticed_and_frees_the_connection() {
    let mut echo = Echo::new(10);
    for half in [false, true] {
        let mut client = echo.connect();
        client.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        echo.read_until(&mut client, "\r\n\r\n");
        assert_eq!(echo.streams.len(), 1);
        let id = echo.streams[0];
        if half {
            client.shutdown(Shutdown::Write).unwrap();
        } else {
            drop(client);
        }
        echo.until(|echo| echo.streams.is_empty());
        assert_eq!(echo.closed.last().unwrap().id, id);
        assert!(echo.reactor.connection(id).is_none());
    }
    assert!(echo.hung_up.len() == 2 && echo.reactor.connection_count() == 0);
}

#[test]
fn a_client_that_is_gone_is_noticed_while_its_reply_is_waited_for() {
    // The bytes after its request are more than the server reads, so the end of input is not reached.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut echo = Echo::on(&format!("unix:{}", path.display()), 10);
    for behind in [0, 100 << 10] {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        echo.until(|echo| !echo.waiting.is_empty());
        client.write_all(&vec![b'y'; behind]).unwrap();
        let id = echo.waiting[0];
        drop(client);
        echo.until(|echo| echo.waiting.is_empty());
        assert_eq!(echo.hung_up.pop(), Some(id));
    }

    // Over TCP, a client that closes may as well have half-closed, until its system resets the connection.
    let mut echo = Echo::new(10);
    let mut client = echo.connect();
    client.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    echo.until(|echo| !echo.waiting.is_empty());
    let (id, now) = (echo.waiting[0], echo.now());
    client.shutdown(Shutdown::Write).unwrap();
    echo.until(|echo| !echo.reactor.connection(id).unwrap().exchange().wants_input());
    assert!(echo.hung_up.is_empty(), "it may be reading");
    // It closes over bytes that it has not read, which is a reset.
    echo.reactor.connection(id).unwrap().exchange().start_stream(&Response::default(), now);
    echo.until(|_| client.peek(&mut [0]).is_ok());
    drop(client);
    echo.until(|echo| echo.waiting.is_empty());
    assert_eq!(echo.hung_up, [id]);
}

#[test]
fn what_arrived_while_the_loop_stood_still_is_read_before_time_outs_are_judged() {
    let mut echo = Echo::new(10);
    for (generation, (first, rest, end)) in [
        ("GET /a HTTP/1.1\r\n", "Host: x\r\n\r\n", "/a "),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab", "cd", "/a abcd"),
        ("GET /b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "/a "),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = echo.connect();
        client.write_all(first.as_bytes()).unwrap();
        if first.contains("/b") {
            echo.read_until(&mut client, "/b ");
        } else {
            let id = ClientId { slot: 0, generation: generation as u32 };
            echo.until(|echo| echo.reactor.connection(id).is_some_and(|it| it.exchange().input_bytes() == first.len()));
        }
        client.write_all(rest.as_bytes()).unwrap();
        let later = Now { alive_us: echo.now().alive_us + 200_000_000, ..echo.now() };
        echo.reactor.handle_ready(later);
        echo.reactor.flush(later);
        let reply = echo.read_until(&mut client, end);
        assert!(reply.starts_with("HTTP/1.1 200 "), "{first}: {reply}");
        drop(client);
        echo.until(|echo| echo.reactor.connection_count() == 0);
    }
}

/// Returns what the system shows of the server's end of a connection on 127.0.0.1: the bytes that it has still to send,
/// the kind of timer that is set (2: keep-alive), and the hundredths of a second until it expires.
#[cfg(target_os = "linux")]
fn system_row(server: SocketAddr, client: SocketAddr) -> (usize, u8, u32) {
    let ends = [server, client].map(|end| format!("0100007F:{:04X}", end.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table.lines().find(|row| row.contains(&ends.join(" "))).expect("the connection is there");
    let fields: Vec<&str> = row.split_whitespace().collect();
    let (sending, _) = fields[4].split_once(':').unwrap();
    let (kind, hundredths) = fields[5].split_once(':').unwrap();
    let number = |text| u32::from_str_radix(text, 16).unwrap();
    (number(sending) as usize, number(kind) as u8, number(hundredths))
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_probes_idle_connections_and_buffers_little_for_a_client_that_does_not_read() {
    let mut echo = Echo::new(10);
    let mut client = echo.connect();
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    echo.read_until(&mut client, "\r\n\r\n");
    let ends = (echo.address(), client.local_addr().unwrap());
    let mut idle = (0, 0, 0);
    echo.until(|_| {
        idle = system_row(ends.0, ends.1);
        idle.0 == 0
    });
    assert!(idle.1 == 2 && idle.2 <= 6_100, "no keep-alive within a minute: {idle:?}");

    echo.source_bytes = 64 << 20;
    let mut left = usize::MAX;
    echo.until(|echo| {
        let stands = echo.source_bytes == left;
        left = echo.source_bytes;
        stands
    });
    let (held, ..) = system_row(ends.0, ends.1);
    assert!(held <= 4 * SEND_BUFFER_BYTES, "{held} bytes are held for a client that does not read");
}

#[test]
fn a_slow_reader_holds_its_stream_back_and_loses_nothing() {
    const TOTAL: usize = 32 << 20;
    let mut echo = Echo::new(10);
    echo.source_bytes = TOTAL;
    let mut client = echo.connect();
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // Turns until the socket takes no more: what is pending stays within the high-water mark.
    let mut left = usize::MAX;
    echo.until(|echo| {
        let stands = echo.source_bytes == left && !echo.streams.is_empty();
        left = echo.source_bytes;
        stands
    });
    assert!(left > 0, "the sockets' buffers took all of it");
    let id = echo.streams[0];
    let exchange = echo.reactor.connection(id).unwrap().exchange();
    assert!(exchange.output().len() <= OUTPUT_HIGH_WATER_BYTES + 100, "{}", exchange.output().len());
    assert_eq!(exchange.stream_position() - exchange.taken_position(), exchange.output().len() as u64);

    let mut received = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    echo.until(|echo| {
        match client.read(&mut buffer) {
            Ok(0) => panic!("closed"),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if echo.source_bytes == 0 && echo.streams.len() == 1 {
            let (id, now) = (echo.streams.remove(0), echo.now());
            echo.reactor.connection(id).unwrap().exchange().end_stream(now);
        }
        received.ends_with(b"\r\n0\r\n\r\n")
    });
    assert_eq!(received.split(|byte| *byte == b'~').count() - 1, TOTAL);
}

#[test]
fn a_client_that_sends_without_reading_is_not_read_on() {
    // The buffers of a unix socket, unlike those of TCP, do not grow meanwhile.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut echo = Echo::on(&format!("unix:{}", path.display()), 10);
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_nonblocking(true).unwrap();
    client.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let piece = vec![b'y'; 1 << 16];
    let (mut sent, mut last) = (0, usize::MAX);
    // Until the server stops reading and the sockets' buffers are full.
    echo.until(|echo| {
        last = sent;
        while let Ok(count) = client.write(&piece) {
            sent += count;
        }
        let Some(id) = echo.waiting.first() else { return false };
        !echo.reactor.connection(*id).unwrap().exchange().wants_input() && last == sent
    });
    for _ in 0..3 {
        echo.turn();
        assert!(client.write(&piece).is_err(), "the server has read on");
    }
    assert_eq!(echo.served, 1);
}

#[test]
fn a_connection_over_the_limit_gets_503_and_retry_after() {
    let mut echo = Echo::new(1);
    let mut first = echo.connect();
    first.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    echo.read_until(&mut first, "\r\n\r\n");
    let mut second = echo.connect();
    second.write_all(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let reply = echo.read_until(&mut second, "\0nothing\0");
    assert!(reply.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{reply}");
    assert!(reply.contains("\r\nRetry-After: 1\r\n"), "{reply}");
    drop(first);
    // The refused connection still exists, as its client holds it open, but does not count.
    echo.until(|echo| echo.reactor.connection_count() == 1);
    let mut third = echo.connect();
    third.write_all(b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    echo.read_until(&mut third, "/c ");
    assert_eq!(echo.served, 2);
    drop((second, third));
    echo.until(|echo| echo.reactor.connection_count() == 0);
}

/// Sends all bytes while the server reads.
#[track_caller]
fn send(echo: &mut Echo, client: &mut impl Write, bytes: &[u8]) {
    let mut sent = 0;
    echo.until(|_| {
        sent += client.write(&bytes[sent..]).unwrap_or(0);
        sent == bytes.len()
    });
}

#[test]
fn large_bodies_at_once_are_bounded_together_and_the_slowest_is_refused() {
    let limits = Limits { requests_bytes_max: 1 << 20, ..Limits::default() };
    let mut echo = Echo::with("127.0.0.1:0", limits, 10);
    let (mut slow, mut fast) = (echo.connect(), echo.connect());
    let part = vec![b'y'; 600 << 10];
    let head = format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", part.len() + 1);
    let bytes = [head.as_bytes(), &part].concat();
    send(&mut echo, &mut slow, &bytes);
    echo.until(|echo| echo.reactor.requests_bytes() == bytes.len());
    // It keeps up the least rate, and is still the slower one.
    echo.skipped_us = 20_000_000;
    send(&mut echo, &mut fast, &bytes);
    let reply = echo.read_until(&mut slow, "try again later");
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("Retry-After: 1\r\n"), "{reply}");
    fast.write_all(b"z").unwrap();
    let reply = echo.read_until(&mut fast, "yz");
    assert!(reply.starts_with("HTTP/1.1 200 "), "{}", &reply[..100]);
    // Its bytes are no longer counted.
    assert_eq!(echo.reactor.requests_bytes(), 0);
}

#[test]
fn small_parts_of_requests_are_bounded_together_too() {
    let limits = Limits { requests_bytes_max: 1 << 20, ..Limits::default() };
    let mut echo = Echo::with("127.0.0.1:0", limits, 100);
    let head = format!("GET /a HTTP/1.1\r\nHost: x\r\nPadding: {}", "x".repeat(30 << 10));
    let mut clients: Vec<TcpStream> = (0..60).map(|_| echo.connect()).collect();
    for client in &mut clients {
        send(&mut echo, client, head.as_bytes());
    }
    echo.until(|echo| echo.closed.len() + echo.reactor.connection_count() == 60 && echo.reactor.requests_bytes() > 0);
    for _ in 0..3 {
        echo.turn();
    }
    assert!(echo.reactor.requests_bytes() <= 1 << 20, "{}", echo.reactor.requests_bytes());
    let mut other = echo.connect();
    other.write_all(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(bodies(&echo.read_until(&mut other, "/b ")), ["/b "]);
}

#[test]
fn simultaneous_replies_are_bounded_together_and_the_longest_stalled_connection_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut echo = Echo::on(&format!("unix:{}", path.display()), 20);
    let bytes_max = 6 << 20;
    echo.reactor.set_replies_bytes_max(bytes_max);
    let (mut clients, mut ids) = (Vec::new(), Vec::new());
    while echo.closed.is_empty() {
        assert!(ids.len() < 15, "{} bytes are held", echo.reactor.replies_bytes());
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_nonblocking(true).unwrap();
        client.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        echo.until(|echo| !echo.waiting.is_empty());
        let (id, now) = (echo.waiting.remove(0), echo.now());
        let reply = Response { status: 200, body: vec![b'y'; 1 << 20], ..Response::default() };
        echo.reactor.connection(id).unwrap().exchange().respond(&reply, now);
        clients.push(client);
        ids.push(id);
        echo.skipped_us += 1_000_000;
        echo.turn();
        // The first one reads some of it in the meantime.
        let before = echo.reactor.replies_bytes();
        if ids.len() == 4 {
            while clients[0].read(&mut [0; 4_096]).is_ok() {}
            echo.until(|echo| echo.reactor.replies_bytes() < before);
        }
    }
    assert_eq!(echo.closed[0].id, ids[1], "it has taken nothing for longest");
    assert!(echo.closed.len() < 3 && echo.reactor.replies_bytes() <= bytes_max, "no more than it takes");
}

#[test]
fn a_reader_that_takes_a_little_now_and_then_is_not_gone() {
    // A unix socket reports that it is writable only when three quarters of its buffer are free.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut echo = Echo::on(&format!("unix:{}", path.display()), 10);
    echo.source_bytes = 32 << 20;
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_nonblocking(true).unwrap();
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut left = usize::MAX;
    echo.until(|echo| {
        let stands = echo.source_bytes == left && !echo.streams.is_empty();
        left = echo.source_bytes;
        stands
    });
    for _ in 0..5 {
        // As much as one write put there, so that there is room for another.
        let mut taken = 0;
        while taken < 80 << 10 {
            taken += client.read(&mut [0; 4_096]).unwrap();
        }
        echo.skipped_us += 299_000_000;
        echo.turn();
        echo.skipped_us += 2_000_000;
        echo.turn();
        assert_eq!(echo.streams.len(), 1, "it took something within five minutes");
    }
    echo.skipped_us += 301_000_000;
    echo.until(|echo| echo.streams.is_empty());
}

#[test]
fn an_error_reply_reaches_a_client_that_is_still_sending() {
    let mut echo = Echo::new(10);
    let mut client = echo.connect();
    client.set_nonblocking(false).unwrap();
    let sender = client.try_clone().unwrap();
    // A blocking client that sends a body of 20 MiB, whatever the server replies, and then reads.
    let thread = std::thread::spawn(move || {
        let mut sender = sender;
        sender.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20971520\r\n\r\n").unwrap();
        let piece = vec![0; 1 << 20];
        (0..20).try_for_each(|_| sender.write_all(&piece))
    });
    echo.until(|_| thread.is_finished());
    thread.join().unwrap().unwrap();
    client.set_nonblocking(true).unwrap();
    let reply = echo.read_until(&mut client, "\0nothing\0");
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    drop(client);
    echo.until(|echo| echo.reactor.connection_count() == 0);
}

#[test]
fn draining_closes_what_is_idle_and_finishes_what_is_not() {
    let mut echo = Echo::new(10);
    let mut half = echo.connect();
    half.write_all(b"POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234").unwrap();
    let (mut idle, mut busy) = (echo.connect(), echo.connect());
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    echo.read_until(&mut idle, "/a ");
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    echo.until(|echo| echo.waiting.len() == 1);
    let (now, address) = (echo.now(), echo.address());
    let unfinished = Response { status: 503, body: b"later".to_vec(), ..Response::default() };
    echo.reactor.drain(&unfinished, now);
    assert!(echo.is_at_end(&mut idle));
    let text = echo.read_until(&mut half, "\0nothing\0");
    assert!(text.starts_with("HTTP/1.1 503 ") && text.ends_with("later"), "{text}");
    drop(half);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let reply = Response { status: 200, body: b"done".to_vec(), ..Response::default() };
    let id = echo.waiting[0];
    echo.reactor.connection(id).unwrap().exchange().respond(&reply, now);
    let text = echo.read_until(&mut busy, "\0nothing\0");
    assert!(text.contains("Connection: close\r\n") && text.ends_with("done"), "{text}");
    assert_eq!(echo.reactor.connection_count(), 0);
}

#[test]
fn time_outs_close_a_silent_connection() {
    let mut echo = Echo::new(10);
    let mut client = echo.connect();
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    echo.until(|echo| echo.reactor.poll_timeout().is_some_and(|at_us| at_us < 40_000_000));
    let at_us = echo.reactor.poll_timeout().unwrap();
    let now = Now { alive_us: at_us, ..echo.now() };
    echo.reactor.handle_ready(now);
    echo.reactor.flush(now);
    let reply = echo.read_until(&mut client, "\0nothing\0");
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
}

fn bind(address: &str) -> std::io::Result<Reactor> {
    Reactor::bind(&[address.parse().unwrap()], SOCKET_MODE_DEFAULT, Limits::default(), 10)
}

#[test]
fn a_unix_socket_replaces_a_dead_one_refuses_a_live_one_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead server's socket");
    let address = format!("unix:{}", path.display());
    let mut echo = Echo::on(&address, 10);

    let refused = bind(&address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    assert!(refused.to_string().contains(&address), "{refused}");

    let mut client = UnixStream::connect(&path).unwrap();
    client.set_nonblocking(true).unwrap();
    client.write_all(b"GET /u HTTP/1.1\r\nHost: \r\n\r\n").unwrap();
    echo.read_until(&mut client, "/u ");
    client.write_all(b"GET /wait HTTP/1.1\r\nHost: \r\n\r\n").unwrap();
    echo.until(|echo| echo.waiting.len() == 1);
    let id = echo.waiting[0];
    assert_eq!(echo.reactor.connection(id).unwrap().origin(), Origin::Unix);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o600, "whatever the umask");
    drop(echo);
    assert!(!path.exists());

    std::fs::write(&path, "no socket").unwrap();
    let refused = bind(&address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no socket");
}

#[test]
fn a_waker_ends_a_wait() {
    let mut reactor = Reactor::bind(&[], SOCKET_MODE_DEFAULT, Limits::default(), 1).unwrap();
    let waker = reactor.waker();
    let thread = std::thread::spawn(move || waker.wake().unwrap());
    let start = Instant::now();
    assert!(reactor.poll(Some(WAIT)).unwrap().woken);
    assert!(start.elapsed() < WAIT);
    thread.join().unwrap();
}
