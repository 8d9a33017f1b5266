"""KvsServer as an object: what it leaves behind, and what a process that serves allows itself."""

import resource
from pathlib import Path
from typing import Final

import pytest

from kvs import KvsServer, MemoryEngine, SharedQueueThreadPool
from kvs.net.listener import allow_many_descriptors

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
