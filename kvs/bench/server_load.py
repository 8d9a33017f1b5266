"""The load of our own, where redis-benchmark is not installed: many connections, each of which asks and then waits.

    python -m kvs.bench.server_load '["127.0.0.1", 4000, {"clients": 50, ...}]'

It prints what it measured, as JSON. Every reply is compared with the one that is right, byte for byte.

It is Python, as the server is, and asking takes it longer than answering takes the server. So with it every server
looks slower than it is, and a fast one the most; redis-benchmark is the better judge.
"""

import json
import random
import selectors
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import quantiles
from time import perf_counter
from typing import Final

from kvs.resp import frame

PATIENCE_S: Final = 30.0
"""A server that says nothing for so long is given up."""
_BATCHES: Final = 64
"""So many different batches are made before the clock runs, and then sent again and again."""
_MOST_KEYS: Final = 1000
"""Every key is given its value before the clock runs, and where each waits for the disk that takes a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server is asked.

    Args:
        clients: connections.
        requests: commands of each kind, all clients together.
        pipeline: commands that a client sends at once, before it waits for their replies.
        value_bytes: size of each value.
        keys: how many keys there are; each command takes any of them. (Our own generator leaves it at 1,000.)
    """

    clients: int
    requests: int
    pipeline: int
    value_bytes: int
    keys: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What was measured of one kind of command.

    Args:
        per_second: commands.
        p50_ms, p99_ms: how long a client waited for the replies to what it had sent at once, in milliseconds: half of
            the times, and 99 of a hundred, no longer than this.
    """

    per_second: float
    p50_ms: float
    p99_ms: float


class WrongReplyError(Exception):
    """The server answered, but not what is right."""


def put(host: str, port: int, load: Load) -> dict[str, Rate]:
    """Put a load on a server: SET, then GET, each on its own.

    Raises:
        WrongReplyError: it answered something else.
        OSError: it did not answer.
    """
    value = b"x" * load.value_bytes
    with _connections(host, port, load.clients) as sockets:
        _fill(sockets[0], min(load.keys, _MOST_KEYS), value)
        return {
            "set": _measure(sockets, load, [b"SET", b"", value], frame.OK),
            "get": _measure(sockets, load, [b"GET", b""], frame.bulk(value)),
        }


@contextmanager
def _connections(host: str, port: int, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection((host, port), PATIENCE_S)) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sockets


def _key(number: int) -> bytes:
    """Return one of the keys, of 16 bytes, as redis-benchmark's are."""
    return b"key:%012d" % number


def _fill(sock: socket.socket, keys: int, value: bytes) -> None:
    """Give every key its value, so that it is known what a GET has to answer."""
    client = _Client(sock, frame.OK)
    for number in range(keys):
        client.ask(frame.encode_command([b"SET", _key(number), value]))
        while not client.hear():
            pass


def _measure(sockets: Sequence[socket.socket], load: Load, words: list[bytes], reply: bytes) -> Rate:
    """Send one kind of command until all requests are answered; the second of the words is the key."""
    rng = random.Random(1)  # noqa: S311  # repeatable, not secret
    keys = [[_key(rng.randrange(min(load.keys, _MOST_KEYS))) for _ in range(load.pipeline)] for _ in range(_BATCHES)]
    batches = [b"".join(frame.encode_command([words[0], key, *words[2:]]) for key in batch) for batch in keys]
    count = -(-load.requests // load.pipeline)
    waits_s: list[float] = []
    asked = 0
    with selectors.DefaultSelector() as selector:
        begun_s = perf_counter()
        for sock in sockets[:count]:
            client = _Client(sock, reply * load.pipeline)
            selector.register(sock, selectors.EVENT_READ, client)
            client.ask(batches[asked % _BATCHES])
            asked += 1
        while len(waits_s) < count:
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise TimeoutError(f"the server has said nothing for {PATIENCE_S:.0f} s")
            for key, _ in ready:
                client = key.data
                if client.hear():
                    waits_s.append(perf_counter() - client.asked_s)
                    if asked < count:
                        client.ask(batches[asked % _BATCHES])
                        asked += 1
        seconds = perf_counter() - begun_s
    twice = waits_s * 2  # of a single wait there would be no quantiles
    cuts_ms = [1000 * each for each in quantiles(twice, n=100, method="inclusive")]
    return Rate(count * load.pipeline / seconds, cuts_ms[49], cuts_ms[98])


class _Client:
    """One connection that asks, and waits for the reply that is right.

    Args:
        sock: the connection.
        reply: what every batch is to be answered.
    """

    def __init__(self, sock: socket.socket, reply: bytes) -> None:
        self._sock = sock
        self._reply = reply
        self._heard_bytes = 0
        self.asked_s = 0.0

    def ask(self, batch: bytes) -> None:
        """Send a batch."""
        self._heard_bytes = 0
        self.asked_s = perf_counter()
        self._sock.sendall(batch)

    def hear(self) -> bool:
        """Take what has arrived; return whether the reply is there, whole.

        Raises:
            WrongReplyError: it is another one.
        """
        data = self._sock.recv(1 << 16)
        wanted = self._reply[self._heard_bytes : self._heard_bytes + len(data)]
        if not data:
            raise WrongReplyError("the server closed the connection")
        if data != wanted:
            raise WrongReplyError(f"expected {wanted[:40]!r}, found {data[:80]!r}")
        self._heard_bytes += len(data)
        return self._heard_bytes == len(self._reply)


if __name__ == "__main__":
    at_host, at_port, wanted = json.loads(sys.argv[1])
    print(json.dumps({kind: asdict(rate) for kind, rate in put(at_host, at_port, Load(**wanted)).items()}))  # noqa: T201  # its answer
