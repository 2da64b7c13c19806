use std::sync::Arc;

use crate::{
    Config, Server, StartEvent, StopEvent, Workflow,
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
    let ring = Arc::new(move || waker.wake().expect("the loop is there"));
    let opened = SqliteStore::open(directory.path(), Durability::Off, &graphs, 1, ring);
    let Opened { store, .. } = opened.unwrap_or_else(|error| panic!("{error}"));
    store.kill_writer();
    bound.turns.store = Box::new(store);
    let error = bound.serve().expect_err("nothing can be kept any more");
    assert!(error.to_string().contains("the store's writer thread has panicked"), "{error}");
}
