"""Task 3.8: a load on a server, and figures that can be believed: what was asked, how fast, and who waited how long."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support.hosted import Hosted
from support.talk import DEADLINE_S, stranger

import kvs
from kvs.bench.server_load import Load, Rate, WrongReplyError, put
from kvs.resp.decoder import CommandDecoder

pytestmark = pytest.mark.task("3.8")

Host = Callable[..., Hosted]
VALUE_BYTES = 10


def load(*, clients: int = 4, requests: int = 40, pipeline: int = 1) -> Load:
    """Return a small load."""
    return Load(clients=clients, requests=requests, pipeline=pipeline, value_bytes=VALUE_BYTES, keys=5)


def measure(address: str, wanted: Load) -> dict[str, Rate]:
    """Put the load on the server at this address."""
    host, _, port = address.rpartition(":")
    return put(host, int(port), wanted)


class WatchedEngine(kvs.MemoryEngine):
    """Counts what it is asked, and takes its time over each get, one after the other.

    Args:
        delay_s: how long each get takes,
        every: or only each so-many-th.
    """

    def __init__(self, delay_s: float = 0.0, every: int = 1) -> None:
        super().__init__()
        self.sets = self.gets = 0
        self._delay_s = delay_s
        self._every = every
        self._lock_of_counts = threading.Lock()

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        with self._lock_of_counts:
            self.sets += 1
        super().set(key, value)

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Return a value, in a while."""
        with self._lock_of_counts:
            self.gets += 1
            if self.gets % self._every == 0:
                time.sleep(self._delay_s)  # with the lock held: so it takes as long whatever the server's design
        return super().get(key, default)


@pytest.mark.parametrize(("clients", "pipeline"), [(1, 1), (4, 1), (4, 5)])
def test_all_requests_are_made(host: Host, clients: int, pipeline: int) -> None:
    """So many commands as are asked for reach the store: SETs of values of the right size, and as many GETs."""
    engine = WatchedEngine()
    figures = measure(host(engine).address, load(clients=clients, requests=60, pipeline=pipeline))
    assert engine.gets == 60
    assert engine.sets >= 60
    assert {len(value) for value in engine.values()} == {VALUE_BYTES}
    assert set(figures) == {"set", "get"}


def test_rate_agrees_with_the_clock(host: Host) -> None:
    """The rate is no lower than the whole measurement took, and no higher than so slow a server can be."""
    address = host(WatchedEngine(delay_s=0.005)).address
    begun_s = time.monotonic()
    figures = measure(address, load(clients=4, requests=40))
    took_s = time.monotonic() - begun_s
    assert figures["set"].per_second >= 40 / took_s
    assert 40 / took_s <= figures["get"].per_second <= 1 / 0.005, "the store takes 5 ms for each get"


def test_waits_are_those_of_clients(host: Host) -> None:
    """The time between question and answer is what counts: with a server that takes 5 ms no wait is shorter."""
    figures = measure(host(WatchedEngine(delay_s=0.005)).address, load(clients=2, requests=20))
    assert 5 <= figures["get"].p50_ms <= figures["get"].p99_ms


def test_slow_replies_are_seen(host: Host) -> None:
    """Of a server that is slow once in 15 times, half the waits are short, and the 99th of a hundred is long."""
    figures = measure(host(WatchedEngine(delay_s=0.1, every=15)).address, load(clients=1, requests=60))
    assert figures["get"].p50_ms < 100 <= figures["get"].p99_ms


class WrongEngine(kvs.MemoryEngine):
    """Has for every key the same value, of the right size."""

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Return a value that was never set."""
        return super().get(key, default) and b"?" * VALUE_BYTES


class BrokenEngine(kvs.MemoryEngine):
    """Cannot read."""

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Raise."""
        raise kvs.StorageError(f"the disk is gone, and {key!r} with it, and there is no {default!r}")


@pytest.mark.parametrize("engine", [WrongEngine, BrokenEngine])
def test_wrong_replies_are_no_work_done(host: Host, engine: type[kvs.MemoryEngine]) -> None:
    """A server that is fast and wrong gets no figures: another value, or an error, ends the measurement."""
    address = host(engine()).address
    with pytest.raises(WrongReplyError):
        measure(address, load())


def test_server_that_hangs_up_gets_no_figures() -> None:
    """A server that hangs up ends the measurement; nothing is made of what came before."""
    with stranger(b"+OK\r\n") as address, pytest.raises((WrongReplyError, OSError)):
        measure(address, load(clients=1))


class Together:
    """A server that answers a GET only when all clients have asked for so many values at once.

    Args:
        wanted: how many clients there are to be, and how many commands at once.
    """

    def __init__(self, wanted: Load) -> None:
        self._pipeline = wanted.pipeline
        self._values: dict[bytes, bytes] = {}
        self._met = threading.Barrier(wanted.clients)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with self._listener:
            for _ in range(self._met.parties):
                line, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            line.settimeout(DEADLINE_S)
            replies: list[bytes] = []
            has_met = False
            for words in _commands(line):
                if words[0].upper() == b"SET":
                    self._values[words[1]] = words[2]
                    line.sendall(b"+OK\r\n")
                    continue
                replies.append(b"$%d\r\n%b\r\n" % (VALUE_BYTES, self._values[words[1]]))
                if len(replies) == self._pipeline:
                    if not has_met:
                        self._met.wait(DEADLINE_S)
                        has_met = True
                    line.sendall(b"".join(replies))
                    replies.clear()


def _commands(line: socket.socket) -> Iterator[list[bytes]]:
    """Return the commands that come on a line."""
    decoder = CommandDecoder()
    while data := line.recv(1 << 16):
        yield from decoder.feed(data)


def test_clients_ask_at_the_same_time() -> None:
    """All clients ask at the same time, and each sends as many commands at once as it is told to."""
    wanted = load(clients=6, requests=120, pipeline=5)
    assert measure(Together(wanted).address, wanted)["get"].per_second > 0
