"""KvsClient keeps the engine's contract: the suite of all engines, over the wire, with a server of ours behind it."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from test_log_contract import (  # noqa: F401  # pytest finds the tests by these names
    test_after_close_everything_raises,
    test_any_bytes_are_kept,
    test_batch_is_all_or_nothing,
    test_bounds_of_a_scan_are_bytes,
    test_it_is_a_mapping,
    test_iteration_is_of_one_moment,
    test_missing_key_is_named,
    test_none_is_no_value,
    test_pop_of_one_key_by_many_is_no_error,
    test_set_get_remove,
    test_shelve_works_on_it,
    test_sync_and_compact_change_nothing_seen,
    test_threads_may_share_it,
    test_too_large_is_refused_with_limit_and_size,
    test_walks_live_with_removals,
    test_wrong_type_is_named,
)
from test_log_scan import by_definition, some_bounds, some_bytes

from kvs import Engine, KvsClient, LogEngine, MemoryEngine, RemoteError, SharedQueueThreadPool, StoreClosedError
from kvs.engine import MAX_KEY_BYTES
from kvs.net.commands import longreply
from kvs.net.server import KvsServer

pytestmark = pytest.mark.timeout(60)


@contextmanager
def served(store: Engine) -> Iterator[str]:
    """Serve a store while the block runs, and give the block the address."""
    with SharedQueueThreadPool(2) as pool, KvsServer(store, pool, "127.0.0.1:0") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join(15)


@pytest.fixture
def store(scratch: Path) -> Iterator[LogEngine]:
    """Return the engine behind the server."""
    with LogEngine.open(scratch / "store") as store:
        yield store


@pytest.fixture
def engine(store: LogEngine) -> Iterator[KvsClient]:
    """Return a client of a server, in the place of an engine."""
    with served(store) as address, KvsClient(address, timeout_s=20) as client:
        yield client


def test_scans_are_what_the_definition_says(engine: KvsClient, rng: random.Random) -> None:
    """Whatever start, stop, prefix, limit and direction: the pairs are those that the definition picks."""
    for _ in range(20):
        keys = {some_bytes(rng) for _ in range(rng.randrange(60))}
        engine.clear()
        engine.write([(key, b"v" + key) for key in keys])
        for _ in range(10):
            start, stop, prefix, limit, reverse = some_bounds(rng)
            found = list(engine.scan(start, stop, prefix=prefix, limit=limit, reverse=reverse))
            wanted = by_definition(list(keys), start, stop, prefix, limit, reverse=reverse)
            assert found == [(key, b"v" + key) for key in wanted], (keys, start, stop, prefix, limit, reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_of_many_pages_lose_and_repeat_nothing(engine: KvsClient, store: LogEngine, reverse: bool) -> None:
    """A scan over many pages yields every pair once, in order, the empty key and the longest ones among them."""
    pairs = {b"%06d" % number: bytes(number % 300) for number in range(25_000)}
    pairs |= {b"": b"empty", b"\xff" * MAX_KEY_BYTES: b"last", b"\xff" * (MAX_KEY_BYTES - 1): b"", b"0" * 65_535: b""}
    store.update(pairs)
    assert list(engine.scan(reverse=reverse)) == sorted(pairs.items(), reverse=reverse)
    assert list(engine.scan(limit=20_001, reverse=reverse)) == sorted(pairs.items(), reverse=reverse)[:20_001]
    assert list(engine) == sorted(pairs)
    assert len(engine) == len(pairs)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 144, 145])
def test_scans_end_where_a_page_does(engine: KvsClient, count: int) -> None:
    """A scan whose last key is the last of a page ends there, in both directions, also when that is the empty key."""
    pairs = {b"k" * number: b"%d" % number for number in range(count)}
    engine.update(pairs)
    for reverse in (False, True):
        found = list(islice(engine.scan(reverse=reverse), count + 1))
        assert found == sorted(pairs.items(), reverse=reverse)


def test_a_scan_of_large_values_takes_small_pages(
    engine: KvsClient, store: LogEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values too large to come together come one by one: the client asks for no page that the server refuses."""
    monkeypatch.setattr(longreply, "MAX_REPLY_BYTES", 100_000)  # it is a GiB, which no test should take
    value = bytes(60_000)
    for number in range(40):
        store.set(b"%02d" % number, value)
    assert [len(found) for _, found in engine.scan()] == [60_000] * 40
    store.set(b"20", bytes(100_000))
    with pytest.raises(RemoteError, match="the reply would be larger than"):
        list(engine.scan())


def test_batches_of_many_commands_are_one(engine: KvsClient, store: LogEngine) -> None:
    """A batch too large for one command is applied whole, and in one step of the log."""
    pairs = {b"%05d" % number: bytes(200) for number in range(30_000)}
    engine.update(pairs)
    assert dict(store.items()) == pairs
    engine.write([(key, None) for key in pairs])
    assert len(store) == 0


def test_stats_are_those_of_the_engine(engine: KvsClient, store: LogEngine) -> None:
    """stats() has the figures of the engine behind the server, under the engine's name, with all that it tells."""
    engine.update({b"a": bytes(100), b"b": bytes(100)})
    engine.remove(b"a")
    found, wanted = engine.stats(), store.stats()
    assert (found.engine, found.keys) == (wanted.engine, wanted.keys) == ("log", 1)
    assert (found.live_bytes, found.dead_bytes) == (wanted.live_bytes, wanted.dead_bytes)
    assert found.details["segments"] == wanted.segments
    assert found.details["disk_bytes"] == wanted.disk_bytes
    engine.compact()
    assert engine.stats().dead_bytes == store.stats().dead_bytes == 0


def test_what_is_over_there_stays_when_the_client_closes() -> None:
    """Closing a client closes the client: the store goes on, for the server and for other clients."""
    with MemoryEngine() as memory, served(memory) as address:
        with KvsClient(address) as first, KvsClient(address) as second:
            first[b"k"] = b"v"
            first.close()
            assert second[b"k"] == b"v"
            with pytest.raises(StoreClosedError):
                first.get(b"k")
        assert memory[b"k"] == b"v"
