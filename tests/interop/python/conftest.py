"""Starts the conformance program for each test and ends it afterwards."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from workflows.client import WorkflowClient

READY = "steprill listening on "


@pytest.fixture
def base_url() -> Iterator[str]:
    program = os.environ["CONFORMANCE_PROGRAM"]
    command = [program, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline().rstrip("\n")
            assert line.startswith(READY), line
            yield line.removeprefix(READY)
            assert server.poll() is None, "the server has ended during the test"
        finally:
            server.kill()


@pytest.fixture
def client(base_url: str) -> WorkflowClient:
    return WorkflowClient(base_url=base_url)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
