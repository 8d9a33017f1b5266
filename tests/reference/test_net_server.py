"""KvsServer as an object: what it leaves behind, and what a process that serves allows itself."""

import resource
import socket
from pathlib import Path
from typing import Final

import pytest

from kvs import KvsServer, MemoryEngine, SharedQueueThreadPool
from kvs.net.listener import allow_many_descriptors

DEADLINE_S: Final = 20
DESIGNS: Final = ("loop", "ready", "jobs")


@pytest.mark.parametrize("design", DESIGNS)
def test_a_server_that_never_served_leaves_nothing_open(design: str) -> None:
    """A server that is made and closed without ever serving gives all its descriptors back."""
    fds = Path("/proc/self/fd")
    if not fds.exists():
        pytest.skip("needs /proc")
    before = len(list(fds.iterdir()))
    for _ in range(20):
        with SharedQueueThreadPool(1) as pool, KvsServer(MemoryEngine(), pool, "127.0.0.1:0", design=design):
            pass
    assert len(list(fds.iterdir())) == before


def test_descriptors_are_had_up_to_the_limit_that_takes_no_rights() -> None:
    """A server asks for all the descriptors that it may have, and takes a limit as it is where there is no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        allow_many_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        allow_many_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("gathers", [False, True])
@pytest.mark.parametrize("design", ["loop", "ready"])
def test_a_stop_takes_all_that_has_arrived(design: str, *, gathers: bool) -> None:
    """A pipeline that had arrived before a stop is answered to its end, though it is more than one receive takes."""
    count, engine = 12_000, MemoryEngine()
    with (
        SharedQueueThreadPool(2) as pool,
        KvsServer(engine, pool, "127.0.0.1:0", design=design, gathers=gathers) as server,
        socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), DEADLINE_S) as client,
    ):
        client.sendall(b"INCR n\r\n" * count)
        server.shutdown(wait=False)
        server.serve_forever()
        replies = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert replies == b"".join(b":%d\r\n" % number for number in range(1, count + 1))
    assert engine[b"n"] == b"%d" % count
