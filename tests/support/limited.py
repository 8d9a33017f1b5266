"""A server in a process of its own that may have little of something: descriptors, or memory."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from support.wire import Wire

DEADLINE_S: Final = 20.0

# A line on stdin is an order, one on stdout the answer.
CHILD: Final = """
import os, resource, sys, threading, time
import kvs
from kvs.net.server import KvsServer
from kvs.pool.naive import NaiveThreadPool
from kvs.pool.shared_queue import SharedQueueThreadPool
directory, design, limit, amount = sys.argv[1:]
def limit_now():
    most = int(amount)
    if limit == "RLIMIT_AS":
        with open("/proc/self/statm") as file:
            most += int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(getattr(resource, limit), (most, most))
if limit == "RLIMIT_NOFILE":
    limit_now()  # before there is a server: it looks how many there are
pool = NaiveThreadPool(1) if design == "jobs" else SharedQueueThreadPool(4)
taken = []
with kvs.open(directory, segment_bytes=16384, sync="none") as engine, pool:
    with KvsServer(engine, pool, "127.0.0.1:0", design=design) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        if limit == "RLIMIT_AS":
            limit_now()
        print(server.address.rpartition(":")[2], flush=True)
        for order in sys.stdin:
            if order == "take all\\n":
                try:
                    while True:
                        taken.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    pass
            elif order == "take the spare\\n":
                taken.append(os.dup2(2, server._listener._spare))
                server._listener._spare = None
            elif order == "give back\\n":
                while taken:
                    os.close(taken.pop())
            print(time.process_time(), server.service.counts.rejected, len(server.service.clients), flush=True)
        server.shutdown()
        thread.join()
"""


class Child:
    """The server.

    Args:
        directory: of its store, whose segments are small.
        design: how it serves.
        limit: the name of a resource, as in the module resource.
        amount: how much of it there is; of memory, how much more than it has when it begins to serve.
    """

    def __init__(self, directory: Path, design: str, limit: str, amount: int) -> None:
        self.directory = directory
        self._wires: list[Wire] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(directory), design, limit, str(amount)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def order(self, word: str) -> tuple[float, int, int]:
        """Have it "take all" descriptors, or "take the spare" one, "give back" what it took, or do nothing.

        Returns:
            Its processor time in seconds, how many clients it has rejected, and how many it has.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        busy_s, rejected, clients = self._process.stdout.readline().split()
        return float(busy_s), int(rejected), int(clients)

    def until(self, fact: Callable[[int, int], bool]) -> None:
        """Wait until something is true of the numbers of clients rejected and here."""
        __tracebackhide__ = True
        end = time.monotonic() + DEADLINE_S
        while not fact(*self.order("nothing")[1:]):
            assert time.monotonic() < end, self.order("nothing")
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
