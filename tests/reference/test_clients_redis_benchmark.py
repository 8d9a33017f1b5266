"""redis-benchmark, unmodified: what it asked for was done, every request of it, and nothing was refused."""

import csv
from collections.abc import Callable

import pytest
from support.clients import program, run
from support.served import Served
from support.wire import Wire

EACH_DESIGN = pytest.mark.parametrize("server", ["loop", "ready"], indirect=True)
REQUESTS = 1_600
VALUE_BYTES = 100

Bench = Callable[..., dict[str, float]]


@pytest.fixture
def bench(server: Served) -> Bench:
    """Return redis-benchmark as a function: options in, tests and their requests a second out."""
    path = program("redis-benchmark")

    def measure(*words: str) -> dict[str, float]:
        fixed = ("-h", server.host, "-p", str(server.port), "-n", str(REQUESTS), "-c", "20", "--csv")
        done = run(path, *fixed, *words)
        assert done.returncode == 0, done
        assert b"rror" not in done.stderr + done.stdout, done
        rows = csv.DictReader(done.stdout.decode().splitlines())
        return {row["test"]: float(row["rps"]) for row in rows}

    return measure


@pytest.fixture
def wire(server: Served) -> Wire:
    """Return a conversation with the server, to see what is there."""
    return Wire(server.connect())


def requests_so_far(wire: Wire) -> int:
    """Return how many commands the server has carried out."""
    text = wire.call("INFO", "stats")
    assert isinstance(text, bytes)
    return int(text.partition(b"total_commands_processed:")[2].split()[0])


@EACH_DESIGN
def test_its_own_tests(bench: Bench, wire: Wire) -> None:
    """PING, SET, GET, INCR and MSET: each is measured, and each request was carried out once, no more and no less."""
    with wire:
        before = requests_so_far(wire)
        rates = bench("-t", "ping,set,get,incr,mset", "-d", str(VALUE_BYTES))
        assert list(rates) == ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]
        assert min(rates.values()) > 0
        assert requests_so_far(wire) - before >= REQUESTS * len(rates)
        assert wire.call("GET", "counter:__rand_int__") == b"%d" % REQUESTS
        assert wire.call("STRLEN", "key:__rand_int__") == VALUE_BYTES
        assert wire.call("DBSIZE") == 2


@EACH_DESIGN
def test_sixteen_deep(bench: Bench, wire: Wire) -> None:
    """Sixteen requests at a time on each connection: random keys are there, and no increment is lost."""
    with wire:
        bench("-t", "set,incr", "-P", "16", "-r", "50", "-d", str(VALUE_BYTES))
        keys, counters = wire.call("KEYS", "key:*"), wire.call("KEYS", "counter:*")
        assert isinstance(keys, list)
        assert isinstance(counters, list)
        assert 0 < len(keys) <= 50
        values = wire.call("MGET", *(key for key in keys if isinstance(key, bytes)))
        assert isinstance(values, list)
        assert {len(value) for value in values if isinstance(value, bytes)} == {VALUE_BYTES}
        counts = wire.call("MGET", *(key for key in counters if isinstance(key, bytes)))
        assert isinstance(counts, list)
        assert sum(int(count) for count in counts if isinstance(count, bytes)) == REQUESTS


@EACH_DESIGN
def test_two_threads_and_protocol_3(bench: Bench, wire: Wire) -> None:
    """Two threads that greet with HELLO 3: no increment is lost."""
    with wire:
        bench("-t", "incr", "-3", "--threads", "2")
        assert wire.call("GET", "counter:__rand_int__") == b"%d" % REQUESTS


def test_a_connection_for_each_request(bench: Bench, wire: Wire) -> None:
    """With -k 0 each request comes on a connection of its own: no increment is lost, and no connection stays."""
    with wire:
        bench("-t", "incr", "-k", "0")
        assert wire.call("GET", "counter:__rand_int__") == b"%d" % REQUESTS


def test_a_command_of_our_own(bench: Bench, wire: Wire) -> None:
    """Any command can be measured, ours too."""
    with wire:
        wire.call("MSET", "a", "1", "b", "2")
        assert list(bench("KVS.SCAN", "a", "", "LIMIT", "10")) == ["KVS.SCAN a  LIMIT 10"]
