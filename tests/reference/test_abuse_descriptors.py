"""A server that is out of descriptors: it lives, says so, does nothing in vain, and its store can still write."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from support.besieged import DESIGNS
from support.wire import Wire

DEADLINE_S: Final = 20.0
FULL: Final = b"-ERR max number of clients reached\r\n"

# What follows runs in a process of its own, for the limit is the process's. A line on stdin is an order, one on stdout
# the answer.
CHILD: Final = """
import os, resource, sys, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import kvs
from kvs.net.server import KvsServer
from kvs.pool.naive import NaiveThreadPool
from kvs.pool.shared_queue import SharedQueueThreadPool
directory, design = sys.argv[1:]
pool = NaiveThreadPool(1) if design == "jobs" else SharedQueueThreadPool(4)
taken = []
with kvs.open(directory, segment_bytes=16384, sync="none") as engine, pool:
    with KvsServer(engine, pool, "127.0.0.1:0", design=design) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        print(server.address.rpartition(":")[2], flush=True)
        for order in sys.stdin:
            if order == "take all\\n":
                try:
                    while True:
                        taken.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    pass
            elif order == "give back\\n":
                while taken:
                    os.close(taken.pop())
            print(time.process_time(), server.service.counts.rejected, len(server.service.clients), flush=True)
        server.shutdown()
        thread.join()
"""


class Child:
    """The server, in a process of its own."""

    def __init__(self, directory: Path, design: str) -> None:
        self.directory = directory
        self._wires: list[Wire] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(directory), design],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def order(self, word: str) -> tuple[float, int, int]:
        """Have it do something; return its processor time in seconds, and how many clients it rejected and has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        busy_s, rejected, clients = self._process.stdout.readline().split()
        return float(busy_s), int(rejected), int(clients)

    def until(self, fact: Callable[[int, int], bool]) -> None:
        """Wait until something is true of the numbers of clients rejected and here."""
        end = time.monotonic() + DEADLINE_S
        while not fact(*self.order("tell")[1:]):
            assert time.monotonic() < end, self.order("tell")
            time.sleep(0.01)

    def connect(self) -> Wire:
        """Return another client's conversation."""
        wire = Wire(socket.create_connection(("127.0.0.1", self._port), DEADLINE_S))
        self._wires.append(wire)
        return wire

    def end(self) -> int:
        """Hang up, stop it, and return its exit code."""
        for wire in self._wires:
            wire.close()
        self._process.communicate("", timeout=DEADLINE_S)
        return self._process.returncode


@pytest.fixture(params=DESIGNS)
def child(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Child]:
    """Serve with 64 descriptors."""
    child = Child(tmp_path / "store", request.param)
    yield child
    assert child.end() == 0, "it ends in order"


def check_writes(wire: Wire, segments: Callable[[], int]) -> None:
    """See that the store can write, and begin new segments."""
    before = segments()
    for number in range(60):
        assert wire.call("SET", f"k{number}", bytes(1_000)) == b"OK"
    assert segments() > before + 2, "or the test shows nothing"
    assert wire.call("GET", "k0") == bytes(1_000)


def test_clients_leave_the_store_its_descriptors(child: Child) -> None:
    """When clients have taken what descriptors there are for them, more are told so, and the store can still write."""
    wires = [child.connect() for _ in range(80)]
    child.until(lambda rejected, clients: rejected + clients == 80)
    _, rejected, clients = child.order("tell")
    assert rejected >= 20
    assert clients >= 20
    for wire in wires[clients:]:
        assert wire.rest() == FULL
    check_writes(wires[0], lambda: len(list(child.directory.iterdir())))
    wires[1].close()
    child.until(lambda _, now: now == clients - 1)
    with child.connect() as late:
        assert late.call("PING") == b"PONG", "there is room again"


def test_without_any_descriptor_a_server_lives(child: Child) -> None:
    """When the system has no descriptor left, a client is told so, those who are here go on, and nothing spins."""
    with child.connect() as here:
        assert here.call("PING") == b"PONG"
        busy_before_s, *_ = child.order("take all")
        wires = [child.connect() for _ in range(30)]
        assert wires[0].rest() == FULL
        began = time.monotonic()
        while time.monotonic() < began + 0.7:
            assert here.call("PING") == b"PONG"
            time.sleep(0.01)
        busy_after_s, rejected, _ = child.order("tell")
        assert busy_after_s - busy_before_s < 0.35, "those who wait are no work"
        assert rejected >= 1
        child.order("give back")
        with child.connect() as late:
            assert late.call("PING") == b"PONG", "there is room again"
        assert here.call("SET", "k", "v") == b"OK"
