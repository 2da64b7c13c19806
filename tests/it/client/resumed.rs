//! Connections that are lost.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use super::steprill;
use crate::support::{Program, within};

/// How many bytes of each stream the proxy passes on before it cuts it off.
const PART: usize = 900;

/// Starts a proxy that cuts off every stream of events in the middle. Returns its address.
fn cutting(to: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let to = to.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let to = to.clone();
            thread::spawn(move || drop(pass(client, &to)));
        }
    });
    address
}

fn pass(mut client: TcpStream, to: &str) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to)?;
    let mut bytes = [0; 8192];
    let count = client.read(&mut bytes)?;
    // The server is called by its own name.
    let request = String::from_utf8_lossy(&bytes[..count]).into_owned();
    let host = request.split("Host: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
    server.write_all(request.replace(host, to).as_bytes())?;
    let most = if request.starts_with("GET /events/") { PART } else { usize::MAX };
    let mut passed = 0;
    loop {
        let count = server.read(&mut bytes)?;
        let some = count.min(most - passed);
        client.write_all(&bytes[..some])?;
        passed += some;
        if count == 0 || passed == most {
            server.shutdown(Shutdown::Both)?;
            return client.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn an_interrupted_stream_resumes_without_repeating_an_event() {
    let program = Program::start();
    let proxy = cutting(program.host());
    let arguments = ["run", "streaming", "count=12", "delay_ms=0", "--server", &proxy];
    let mut command = steprill(&program, &arguments);
    let output = within(move || command.output().expect("it starts"));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let line = |n: usize| format!("{:>4} StreamEvent message=event_{n} sequence={n}\n", n + 1);
    let expected = (0..12).map(line).collect::<Vec<_>>().concat();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(printed, format!("{expected}completed_12_events\n"), "{errors}");
    assert!(errors.contains("the connection was lost; trying again"), "{errors}");
}
