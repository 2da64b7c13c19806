//! A server as a child process, and its use of processor time, memory and the disk, from `/proc` (so on Linux only).

use std::{
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Result;

/// How long a server may take to answer for the first time. The Python reference needs a second on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Microseconds per tick in `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that Rust supports.
const TICK_US: f64 = 10_000.0;

/// A server that can be started; `{port}` in its arguments becomes a free port.
#[derive(Clone)]
pub struct Peer {
    pub name: &'static str,
    pub program: OsString,
    pub arguments: Vec<String>,
}

impl Peer {
    /// Returns the same server with further arguments.
    pub fn with(&self, arguments: &[&str]) -> Self {
        let mut peer = self.clone();
        peer.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        peer
    }

    /// Starts it, and waits for its first 200.
    pub fn start(&self) -> Result<Server> {
        let address = free_address()?;
        let port = address.port().to_string();
        let arguments = self.arguments.iter().map(|argument| argument.replace("{port}", &port));
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))?;
        let mut server = Server { child, address, start: Duration::ZERO };
        while !is_healthy(address) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{} ended: {status}", self.name).into());
            }
            if begun.elapsed() > START_TIMEOUT {
                return Err(format!("{} does not answer", self.name).into());
            }
            thread::sleep(Duration::from_micros(100));
        }
        server.start = begun.elapsed();
        Ok(server)
    }
}

/// A running server. Killed on drop.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// The time from its start to the first 200.
    pub start: Duration,
}

impl Server {
    /// Returns the processor time that it has used. The figures per thread are precise, but exclude threads that have
    /// ended; those of the process are rounded to ticks.
    pub fn cpu_us(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 =
            fields.get(11..13).ok_or("expected times in stat")?.iter().flat_map(|t| t.parse::<f64>()).sum();
        let mut threads_us = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end in the meantime.
            let schedstat = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            threads_us += schedstat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e3;
        }
        Ok(threads_us.max((ticks - 2.0) * TICK_US))
    }

    /// Returns its resident memory.
    pub fn memory_bytes(&self) -> Result<f64> {
        let kilobytes = self.proc("smaps_rollup")?.lines().find_map(|line| line.strip_prefix("Rss:").map(first_number));
        Ok(kilobytes.ok_or("expected Rss in smaps_rollup")? * 1024.0)
    }

    /// Returns how many bytes it has caused to be written to a disk.
    pub fn written_bytes(&self) -> Result<f64> {
        let written = self.proc("io")?.lines().find_map(|line| line.strip_prefix("write_bytes:").map(first_number));
        Ok(written.ok_or("expected write_bytes in io")?)
    }

    /// Kills it at once.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        Ok(fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut reply = [0; 12];
        socket.read_exact(&mut reply)?;
        Ok(reply.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
