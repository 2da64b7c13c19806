"""The server behind nginx, with the settings that README.md gives and without them. NGINX_PROGRAM is nginx."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path

import pytest
from conftest import READY

PATIENCE_S = 60

CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/client_body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen unix:{directory}/front.sock;
        location / {{
            proxy_pass {upstream};
            {settings}
        }}
    }}
}}
"""

# The block for nginx in README.md.
ADVISED = """
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_read_timeout 1h;
    client_max_body_size 4m;
"""


class Front(HTTPConnection):
    """A connection to nginx, as to a host of this name."""

    def __init__(self, path: Path, host: str):
        super().__init__(host, timeout=PATIENCE_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Proxied:
    def __init__(self, path: Path, server: subprocess.Popen):
        self.path = path
        self.server = server

    def request(self, method: str, path: str, body: object = None, host: str = "app.example", **headers) -> HTTPResponse:
        connection = Front(self.path, host)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse()

    def begin(self, workflow: str, start: object = None) -> str:
        reply = self.request("POST", f"/workflows/{workflow}/run-nowait", {"start_event": start or {}})
        assert reply.status == 200
        return json.load(reply)["handler_id"]


Start = Callable[..., Proxied]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server with these flags, and nginx before it with these settings."""
    with ExitStack() as stack:

        def start(settings: str = "", *flags: str, upstream: str = "") -> Proxied:
            address = f"unix:{tmp_path}/back.sock" if upstream else "127.0.0.1:0"
            command = [os.environ["CONFORMANCE_PROGRAM"], "--listen", address, "--grace", "0", *flags]
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(server.kill)
            line = server.stdout.readline().rstrip("\n")
            assert line.startswith(READY), line
            upstream = upstream.format(path=f"{tmp_path}/back.sock") or line.removeprefix(READY)
            text = CONFIGURATION.format(directory=tmp_path, upstream=upstream, settings=settings)
            (tmp_path / "nginx.conf").write_text(text)
            nginx = subprocess.Popen([os.environ["NGINX_PROGRAM"], "-p", tmp_path, "-c", tmp_path / "nginx.conf"])
            stack.enter_context(nginx)
            stack.callback(nginx.kill)
            proxied = Proxied(tmp_path / "front.sock", server)
            begun = time.monotonic()
            while True:
                try:
                    assert proxied.request("GET", "/health", host="localhost").status == 200
                    return proxied
                except OSError:
                    assert nginx.poll() is None and time.monotonic() < begun + PATIENCE_S
                    time.sleep(0.02)

        yield start


def test_events_arrive_one_by_one_through_nginx_as_it_comes(start):
    proxied = start()
    handler = proxied.begin("interactive")
    stream = proxied.request("GET", f"/events/{handler}")
    assert stream.status == 200
    assert stream.readline().startswith(b"id: ")
    question = json.loads(stream.readline().removeprefix(b"data: "))
    assert question["type"] == "RequestedExternalEvent"
    # The run waits for its answer now: nothing more has come that could have carried the event along.
    answer = {"event": {"type": "ExternalEvent", "value": {"response": "pong"}}}
    assert proxied.request("POST", f"/events/{handler}", answer).status == 200
    rest = stream.read()
    assert b"StopEvent" in rest and rest.endswith(b"\n\n")


def test_nginx_as_it_comes_calls_by_address_and_pages_of_its_name_need_an_allowed_origin(start):
    proxied = start("", "--cors-origin", "https://app.example")
    run = {"start_event": {"message": "a"}}
    for origin, status in [(None, 200), ("https://app.example", 200), ("https://evil.example", 403)]:
        headers = {"Origin": origin} if origin else {}
        assert proxied.request("POST", "/workflows/echo/run", run, **headers).status == status, origin


def test_with_the_advised_settings_the_name_is_allowed_and_its_pages_are_the_servers_own(start):
    proxied = start(ADVISED, "--allow-host", "app.example")
    run = {"start_event": {"message": "a"}}
    for host, origin, status in [
        ("app.example", None, 200),
        ("app.example", "https://app.example", 200),
        ("app.example:8443", "https://app.example:8443", 200),
        ("app.example", "https://evil.example", 403),
        ("evil.example", "https://evil.example", 403),
    ]:
        headers = {"Origin": origin} if origin else {}
        assert proxied.request("POST", "/workflows/echo/run", run, host, **headers).status == status, (host, origin)
    reply = proxied.request("POST", "/workflows/echo/run", {"start_event": {"message": "x" * 3_000_000}})
    assert reply.status == 200


def test_with_the_advised_settings_a_stop_breaks_streams_off(start):
    proxied = start(ADVISED, "--allow-host", "app.example")
    handler = proxied.begin("interactive")
    stream = proxied.request("GET", f"/events/{handler}")
    assert stream.readline().startswith(b"id: ")
    proxied.server.terminate()
    with pytest.raises(IncompleteRead):
        stream.read()


def test_a_unix_socket_needs_no_allowed_host(start):
    proxied = start(ADVISED, upstream="http://unix:{path}:")
    run = {"start_event": {"message": "a"}}
    assert proxied.request("POST", "/workflows/echo/run", run, Origin="https://app.example").status == 200


def test_heartbeats_keep_an_idle_stream_open_beyond_the_proxys_time_out(start):
    proxied = start("proxy_read_timeout 18s;")
    handler = proxied.begin("interactive")
    stream = proxied.request("GET", f"/events/{handler}")
    lines = iter(stream.readline, b"")
    begun = time.monotonic()
    heartbeats = (line for line in lines if line.startswith(b":"))
    next(heartbeats), next(heartbeats)
    assert time.monotonic() > begun + 18
    proxied.request("POST", f"/handlers/{handler}/cancel")
    assert b"StopEvent" in stream.read()
