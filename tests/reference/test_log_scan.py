"""Scans: key order within any bounds, also while others write; held against sorted()."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvs import Engine, LogEngine, MemoryEngine, SqliteEngine, StoreClosedError
from kvs.keyorder import KeyOrder, select_range, successor_of_prefix
from kvs.log.store import SCAN_CHUNK

ALPHABET = [0, 1, 97, 98, 254, 255]


def some_bytes(rng: random.Random, most: int = 4) -> bytes:
    """Return a few bytes of an alphabet in which ends, neighbours and 0xff are common."""
    return bytes(rng.choices(ALPHABET, k=rng.randrange(most + 1)))


def some_bounds(rng: random.Random) -> tuple[bytes | None, bytes | None, bytes | None, int | None, bool]:
    """Return start, stop, prefix, limit and reverse of a scan."""
    start, stop, prefix = (some_bytes(rng) if rng.random() < 0.5 else None for _ in range(3))
    limit = rng.choice([None, None, 0, 1, 2, 5, 1_000])
    return start, stop, prefix, limit, rng.random() < 0.5


def by_definition(
    keys: list[bytes],
    start: bytes | None,
    stop: bytes | None,
    prefix: bytes | None,
    limit: int | None,
    *,
    reverse: bool,
) -> list[bytes]:
    """Return the keys of a scan as its documentation defines them, one condition after the other."""
    chosen = [
        key for key in sorted(keys, reverse=reverse)
        if (start is None or key >= start) and (stop is None or key < stop) and key.startswith(prefix or b"")
    ]  # fmt: skip
    return chosen if limit is None else chosen[:limit]


MAKERS: dict[str, Callable[[Path], Engine]] = {
    "memory": lambda _: MemoryEngine(),
    "log": lambda path: LogEngine.open(path, segment_bytes=4_000),
    "sqlite": SqliteEngine.open,
}


@pytest.fixture(params=MAKERS)
def engine(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Engine]:
    """Return an open engine of each kind."""
    with MAKERS[request.param](scratch) as engine:
        yield engine


def test_bounds_mean_what_they_say(rng: random.Random) -> None:
    """Whatever start, stop, prefix, limit and direction: the keys are those that the definition picks."""
    for _ in range(3_000):
        keys = sorted({some_bytes(rng) for _ in range(rng.randrange(30))})
        start, stop, prefix, limit, reverse = some_bounds(rng)
        found = select_range(keys, start, stop, prefix=prefix, limit=limit, reverse=reverse)
        assert found == by_definition(keys, start, stop, prefix, limit, reverse=reverse), (
            keys, start, stop, prefix, limit, reverse,
        )  # fmt: skip


def test_key_order_follows_a_changing_dict(rng: random.Random) -> None:
    """However keys came and went since the last time, the order is that of sorted(); old lists stay as they were."""
    entries, order, removals = dict[bytes, int](), KeyOrder(), 0
    given: list[tuple[list[bytes], list[bytes]]] = []
    for _ in range(600):
        for _ in range(rng.choice([0, 0, 1, 2, 20])):
            key = some_bytes(rng)
            if rng.random() < 0.4:
                removals += entries.pop(key, None) is not None
            else:
                entries[key] = 1
        keys = order.keys(entries, removals)
        assert keys == sorted(entries)
        given.append((keys, list(keys)))
    assert all(now == then for now, then in given)
    assert order.keys(entries, removals) is order.keys(entries, removals)


@pytest.mark.parametrize(
    ("prefix", "after"),
    [
        (b"", None),
        (b"\xff", None),
        (b"\xff\xff", None),
        (b"a", b"b"),
        (b"a\xff\xff", b"b"),
        (b"\xfe", b"\xff"),
        (b"\0", b"\x01"),
    ],
)
def test_successor_of_prefix(prefix: bytes, after: bytes | None) -> None:
    """The successor is the smallest key above all with the prefix; above 0xff there is none."""
    assert successor_of_prefix(prefix) == after


def test_scan_agrees_with_sorted(engine: Engine, rng: random.Random) -> None:
    """Between any writes and removals a scan gives the pairs that sorting all of them would."""
    model: dict[bytes, bytes] = {}
    for number in range(300):
        for _ in range(rng.randrange(6)):
            key = some_bytes(rng)
            if rng.random() < 0.3:
                engine.write([(key, None)])
                model.pop(key, None)
            else:
                model[key] = engine[key] = b"%d" % number
        if number % 60 == 0:
            engine.compact()
        start, stop, prefix, limit, reverse = some_bounds(rng)
        expected = by_definition([*model], start, stop, prefix, limit, reverse=reverse)
        found = engine.scan(start, stop, prefix=prefix, limit=limit, reverse=reverse)
        assert list(found) == [(key, model[key]) for key in expected]


def test_negative_limit_is_refused_at_the_call(engine: Engine) -> None:
    """A negative limit is a ValueError at once, not at the first step."""
    with pytest.raises(ValueError, match="a limit is 0 or more, not -1"):
        engine.scan(limit=-1)


def test_scan_while_others_write(engine: Engine) -> None:
    """A walk shows the keys of its beginning: none that come later, none removed before it gets there, new values."""
    count = SCAN_CHUNK * 3
    engine.update({b"%04d" % number: b"old" for number in range(count)})
    walk = engine.scan()
    first = next(walk)
    engine.update({b"%04d" % number: b"new" for number in range(count)})
    engine.write([(b"%04d" % number, None) for number in range(count - 10, count)])
    engine[b"zzzz"] = b"late"
    engine.compact()
    rest = list(walk)
    assert first == (b"0000", b"old")
    assert [key for key, _ in rest] == [b"%04d" % number for number in range(1, count - 10)]
    assert rest[-1][1] == b"new"


def test_open_scan_ends_with_the_store(engine: Engine) -> None:
    """A scan that is still under way when the store closes raises StoreClosedError at the next step it must read."""
    engine.update({b"%04d" % number: b"" for number in range(SCAN_CHUNK * 2)})
    walk = engine.scan()
    next(walk)
    engine.close()
    with pytest.raises(StoreClosedError):
        list(walk)
