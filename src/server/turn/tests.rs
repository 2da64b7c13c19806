use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use super::Client;
use crate::{
    Config, Ctx, Result, Server, StartEvent, StopEvent, Workflow,
    store::{Durability, Opened, sqlite::SqliteStore},
};

#[test]
fn a_store_whose_writer_panics_ends_the_server_with_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let hello = Workflow::new::<StartEvent, StopEvent>("hello");
    let hello = hello.step("say", |_, _: StartEvent| Ok(StopEvent::new("hi"))).build().expect("the graph is whole");
    let graphs = [Arc::clone(hello.graph())];
    let config = Config { listen: vec!["127.0.0.1:0".parse().expect("an address")], ..Config::default() };
    let mut bound = Server::new().add(hello).bind(&config).expect("a free port");
    let waker = bound.turns.reactor.waker();
    let wake_loop = Arc::new(move || waker.wake().expect("the loop is there"));
    let opened = SqliteStore::open(directory.path(), Durability::Off, &graphs, 1, wake_loop);
    let Opened { store, .. } = opened.unwrap_or_else(|error| panic!("{error}"));
    store.kill_writer();
    bound.turns.store = Box::new(store);
    let error = bound.serve().expect_err("nothing can be committed any more");
    assert!(error.to_string().contains("the store's writer thread has panicked"), "{error}");
}

#[test]
fn pages_of_stalled_readers_count_until_they_leave() {
    fn shout(ctx: &Ctx, _: StartEvent) -> Result<StopEvent> {
        for _ in 0..100 {
            ctx.stream(StartEvent::new().with("text", "x".repeat(8 << 10)))?;
        }
        Ok(StopEvent::new("hoarse"))
    }
    let shout =
        Workflow::new::<StartEvent, StopEvent>("shout").step("shout", shout).build().expect("the graph is whole");
    let config = Config { listen: vec!["127.0.0.1:0".parse().expect("an address")], ..Config::default() };
    let mut bound = Server::new().add(shout).bind(&config).expect("a free port");
    let address = bound.addresses()[0].trim_start_matches("http://").to_owned();
    bound.turns.begin();
    let mut socket = TcpStream::connect(&address).expect("the port is open");
    let body = r#"{"start_event":{}}"#;
    let head =
        format!("POST /workflows/shout/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    let start = head + body;
    socket.write_all(start.as_bytes()).expect("it takes a request");
    socket.set_nonblocking(true).expect("a TCP socket");
    let mut reply = [0; 4 << 10];
    while !matches!(socket.read(&mut reply), Ok(1..)) {
        bound.turns.turn().expect("the poll works");
    }
    let reply = String::from_utf8_lossy(&reply);
    assert!(bound.turns.clients.pages_bytes() == 0 && reply.starts_with("HTTP/1.1 200"), "{reply}");
    let id = reply.split("\"handler_id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its id");
    let read = format!("GET /events/{id}?after_sequence=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.write_all(read.as_bytes()).expect("it takes a request");
    while bound.turns.clients.pages_bytes() == 0 {
        bound.turns.turn().expect("the poll works");
    }
    assert!(bound.turns.held().replies >= bound.turns.clients.pages_bytes());
    drop(socket);
    while bound.turns.clients.pages_bytes() > 0 {
        bound.turns.turn().expect("the poll works");
    }
}

#[test]
fn pages_of_stalled_lists_count_until_they_leave() {
    const RUNS: usize = 12;
    let large = Workflow::new::<StartEvent, StopEvent>("large");
    let large = large.step("fill", |_, _: StartEvent| Ok(StopEvent::new("x".repeat(1 << 20))));
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        data: Some(directory.path().into()),
        durability: Durability::Off,
        ..Config::default()
    };
    let mut bound = Server::new().add(large.build().expect("the graph is whole")).bind(&config).expect("a free port");
    let address = bound.addresses()[0].trim_start_matches("http://").to_owned();
    bound.turns.begin();
    let mut socket = TcpStream::connect(&address).expect("the port is open");
    let start = "POST /workflows/large/run-nowait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    socket.write_all(start.repeat(RUNS).as_bytes()).expect("it takes requests");
    while bound.turns.core.scheduler().retained_count() < RUNS {
        bound.turns.turn().expect("the poll works");
    }
    socket.write_all(b"GET /handlers HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a request");
    let has_page = |client: &Client| matches!(client, Client::Listing(list) if !list.page.is_empty());
    while !bound.turns.clients.iter().any(|(_, client)| has_page(client)) {
        bound.turns.turn().expect("the poll works");
    }
    assert!(bound.turns.clients.pages_bytes() > 1 << 20, "{}", bound.turns.clients.pages_bytes());
    assert!(bound.turns.held().replies >= bound.turns.clients.pages_bytes());
    drop(socket);
    while bound.turns.clients.iter().next().is_some() {
        bound.turns.turn().expect("the poll works");
    }
    assert_eq!(bound.turns.clients.pages_bytes(), 0);
}
