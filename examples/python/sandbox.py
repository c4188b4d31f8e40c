"""Fixtures for pytest: a sandbox of mesibo-grpc, and a world of its own for each test.

Copy the file next to your tests and name it in conftest.py, as here. The program is
`mesibo-grpc` of the PATH, or the one that the environment variable MESIBO_GRPC names.
"""

import contextlib
import dataclasses
import os
import re
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

import mesibo_client

# Seconds that the sandbox may take to serve.
START = 30


@dataclasses.dataclass
class World:
    """What one test has for itself: nothing that another one does shows up in it."""

    # Calls by this channel are for this world.
    channel: grpc.Channel
    # The name, which the metadata mesibo-app carries.
    name: str
    # The page that shows users, messages and requests.
    page: str
    # The emulated API of Mesibo, and its application token for this world.
    api: str
    token: str


@dataclasses.dataclass
class Sandbox:
    """A running sandbox."""

    url: str
    page: str

    @contextlib.contextmanager
    def world(self) -> Iterator[World]:
        """A world, which ends with the block."""
        name = f"test-{uuid.uuid4()}"
        with mesibo_client.connect(self.url, key=None, app=name) as channel:
            yield World(
                channel, name, self.page, f"{self.page}api.php", f"sandbox-{name}"
            )
        url = f"{self.page}sandbox/worlds/{name}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()


@contextlib.contextmanager
def start(*flags: str) -> Iterator[Sandbox]:
    """A sandbox with these flags, on ports that the system chooses."""
    ports = ["--listen=127.0.0.1:0", "--emulator-listen=127.0.0.1:0"]
    process = subprocess.Popen(
        [os.environ.get("MESIBO_GRPC", "mesibo-grpc"), "sandbox", *ports, *flags],
        env={**os.environ, "MESIBO_GRPC_METRICS_LISTEN": "none"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        # It prints where it serves, and what to try first.
        greeting = ""
        while "api.php" not in greeting:
            line = process.stdout.readline()
            assert line, f"the sandbox ends with the exit status {process.wait()}"
            greeting += line
        address = re.search(r"gRPC on ([^,]+),", greeting).group(1)
        page = re.search(r"(http://\S+/)api\.php", greeting).group(1)
        with grpc.insecure_channel(address) as channel:
            asked = HealthStub(channel).Check(
                HealthCheckRequest(), timeout=START, wait_for_ready=True
            )
        assert asked.status == HealthCheckResponse.SERVING
        yield Sandbox(f"http://{address}", page)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for all tests."""
    with start() as sandbox:
        yield sandbox


@pytest.fixture
def world(sandbox: Sandbox) -> Iterator[World]:
    """A world of its own for a test."""
    with sandbox.world() as world:
        yield world
