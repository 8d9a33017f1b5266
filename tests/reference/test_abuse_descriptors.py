"""A server that is out of descriptors: it lives, says so, does nothing in vain, and its store can still write."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from support.besieged import DESIGNS
from support.limited import Child
from support.wire import Wire

FULL: Final = b"-ERR max number of clients reached\r\n"


@pytest.fixture(params=DESIGNS)
def child(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Child]:
    """Serve with 64 descriptors."""
    child = Child(tmp_path / "store", request.param, "RLIMIT_NOFILE", 64)
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
    _, rejected, clients = child.order("nothing")
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
        busy_after_s, rejected, _ = child.order("nothing")
        assert busy_after_s - busy_before_s < 0.35, "those who wait are no work"
        assert rejected >= 1
        child.order("give back")
        with child.connect() as late:
            assert late.call("PING") == b"PONG", "there is room again"
        assert here.call("SET", "k", "v") == b"OK"


def test_who_cannot_even_be_told_is_not_looked_at_all_the_time(child: Child) -> None:
    """Without a descriptor to tell a client with, clients wait; the server tries again now and then."""
    with child.connect() as here:
        assert here.call("PING") == b"PONG"
        child.order("take all")
        child.order("take the spare")
        wires = [child.connect() for _ in range(10)]
        began = time.monotonic()
        while time.monotonic() < began + 0.7:
            assert here.call("PING") == b"PONG"
            time.sleep(0.01)
        _, tries, _ = child.order("nothing")
        assert tries < 10 * (time.monotonic() - began) + 5
        child.order("give back")
        assert wires[-1].call("PING") == b"PONG", "who waited is taken on"
