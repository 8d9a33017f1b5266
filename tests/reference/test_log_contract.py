"""The engine's contract, one suite for every engine and mode: a mapping of bytes, to the last corner."""

import itertools
import shelve
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import kvs
from kvs import (
    Engine,
    InvalidKeyError,
    InvalidValueError,
    KeyNotFoundError,
    LogEngine,
    MemoryEngine,
    SqliteEngine,
    StoreClosedError,
)
from kvs.engine import MAX_KEY_BYTES, MAX_VALUE_BYTES

MAKERS: dict[str, Callable[[Path], Engine]] = {
    "memory": lambda _path: MemoryEngine(),
    "log": LogEngine.open,
    "log, always": lambda path: LogEngine.open(path, sync="always"),
    "log, none, small segments": lambda path: LogEngine.open(
        path, sync="none", segment_bytes=600, compact_dead_bytes=4_000, compact_dead_ratio=0.1
    ),
    "sqlite": SqliteEngine.open,
    "sqlite, always": lambda path: SqliteEngine.open(path, sync="always"),
}
WRONG_TYPES = [("text", "str"), (bytearray(b"x"), "bytearray"), (memoryview(b"x"), "memoryview"), (5, "int")]


class Huge(bytes):
    """Bytes that say they are more than a value may have, without taking the room."""

    __slots__ = ()

    def __len__(self) -> int:
        return MAX_VALUE_BYTES + 1


@pytest.fixture(params=MAKERS)
def engine(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Engine]:
    """Return an open engine of each kind."""
    with MAKERS[request.param](scratch / "store") as engine:
        yield engine


def anything(value: object) -> bytes:
    """Return a value of a wrong type, past the type checker."""
    return value  # type: ignore[return-value]  # what a careless caller passes


def test_set_get_remove(engine: Engine) -> None:
    """A value set is got, replaced by the next, and gone once removed."""
    engine.set(b"key", b"one")
    assert engine.get(b"key") == b"one"
    engine.set(b"key", b"two")
    assert engine[b"key"] == b"two"
    engine.remove(b"key")
    assert engine.get(b"key") is None
    assert engine.get(b"key", b"default") == b"default"
    assert len(engine) == 0


@pytest.mark.parametrize("key", [b"", b"\0", b"\xff" * 20, b"a\nb", bytes(MAX_KEY_BYTES)], ids=len)
@pytest.mark.parametrize("value", [b"", b"\0" * 50, b"\x01\0\x01\0" * 9, bytes(70_000)], ids=len)
def test_any_bytes_are_kept(engine: Engine, key: bytes, value: bytes) -> None:
    """Keys and values are any bytes, the empty ones included."""
    engine[key] = value
    assert engine[key] == value
    assert dict(engine) == {key: value}
    engine.write([(key, None), (b"other", value)])
    assert dict(engine) == {b"other": value}


def test_missing_key_is_named(engine: Engine) -> None:
    """`[]`, `del` and remove of a missing key raise KeyNotFoundError, a KeyError that names the key."""
    for ask in (engine.__getitem__, engine.__delitem__, engine.remove, engine.pop):
        with pytest.raises(KeyNotFoundError, match=r"Key not found: b'none'") as caught:
            ask(b"none")
        assert isinstance(caught.value, KeyError)
        assert caught.value.key == b"none"


def test_it_is_a_mapping(engine: Engine) -> None:
    """What a dict can, an engine can: update, pop, popitem, setdefault, clear, `in`, iteration, equality."""
    engine.update({b"a": b"1", b"b": b"2"})
    engine.update([(b"c", b"3"), (b"c", b"4")])
    engine.update(HasKeys())
    assert engine == {b"a": b"1", b"b": b"2", b"c": b"4", b"k": b"of k"}
    assert engine != {b"a": b"1"}
    assert engine.setdefault(b"a", b"other") == b"1"
    assert engine.setdefault(b"new", b"value") == b"value"
    assert engine.pop(b"new") == b"value"
    assert engine.pop(b"new", b"default") == b"default"
    assert b"a" in engine
    assert b"new" not in engine
    assert anything("a") not in engine
    assert sorted(engine) == sorted(engine.keys()) == [b"a", b"b", b"c", b"k"]
    assert sorted(engine.values()) == [b"1", b"2", b"4", b"of k"]
    assert sorted(engine.items()) == sorted(dict(engine).items())
    assert (b"a", b"1") in engine.items()
    key, value = engine.popitem()
    assert value
    assert key not in engine
    engine.clear()
    assert list(engine) == []
    engine.clear()
    with pytest.raises(KeyError):
        engine.popitem()


class HasKeys(Mapping[bytes, bytes]):
    """A mapping that is no dict."""

    def __getitem__(self, key: bytes) -> bytes:
        return b"of " + key

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"k"])

    def __len__(self) -> int:
        return 1


def test_shelve_works_on_it(engine: Engine) -> None:
    """shelve.Shelf puts any Python object into an engine, and gets it back."""
    shelf: shelve.Shelf[object] = shelve.Shelf(engine)
    shelf["snowman"] = {"☃": [1, 2.5, None]}
    assert shelf["snowman"] == {"☃": [1, 2.5, None]}
    assert list(shelf) == ["snowman"]


@pytest.mark.parametrize(("wrong", "name"), WRONG_TYPES)
def test_wrong_type_is_named(engine: Engine, wrong: object, name: str) -> None:
    """A key or value that is not bytes is a TypeError that says what it is; nothing is stored."""
    bad = anything(wrong)
    calls: list[Callable[[], object]] = [
        lambda: engine.set(bad, b""), lambda: engine.set(b"k", bad), lambda: engine.get(bad),
        lambda: engine.remove(bad), lambda: engine[bad], lambda: engine.write([(b"k", b"v"), (b"l", bad)]),
        lambda: engine.update({b"k": bad}),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(TypeError, match=rf"a (key|value) is bytes, not {name}"):
            call()
    if name in {"str", "int"}:
        with pytest.raises(TypeError, match=f"a key is bytes, not {name}"):
            engine.write([(b"k", b"v"), (bad, b"v")])
    assert len(engine) == 0


def test_none_is_no_value(engine: Engine) -> None:
    """None removes in `write` alone; elsewhere it is a wrong type, so that a slip never deletes."""
    engine[b"k"] = b"v"
    none = anything(None)
    calls: list[Callable[[], object]] = [
        lambda: engine.set(b"k", none),
        lambda: engine.update({b"k": none}),
        lambda: engine.update([(b"k", none)]),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="a value is bytes, not NoneType"):
            call()
    assert engine[b"k"] == b"v"


def test_too_large_is_refused_with_limit_and_size(engine: Engine) -> None:
    """A key above 65,535 bytes or a value above 512 MiB is refused, by an error that names limit and size."""
    key = bytes(MAX_KEY_BYTES + 1)
    with_key: list[Callable[[], object]] = [
        lambda: engine.set(key, b""), lambda: engine.remove(key), lambda: engine.write([(key, None)])
    ]  # fmt: skip
    for call in with_key:
        with pytest.raises(InvalidKeyError, match=r"at most 65,535 bytes, this one has 65,536"):
            call()
    assert engine.get(key) is None
    with_value: list[Callable[[], object]] = [
        lambda: engine.set(b"k", Huge()), lambda: engine.write([(b"a", b""), (b"k", Huge())])
    ]  # fmt: skip
    for call in with_value:
        with pytest.raises(InvalidValueError, match=r"at most 536,870,912 bytes, this one has 536,870,913"):
            call()
    assert len(engine) == 0


def test_batch_is_all_or_nothing(engine: Engine) -> None:
    """The last step on a key counts, a removal of nothing is no error, and a bad step undoes the whole batch."""
    engine.write([(b"a", b"1"), (b"b", b"1"), (b"a", None), (b"b", b"2"), (b"never", None)])
    assert dict(engine) == {b"b": b"2"}
    with pytest.raises(TypeError):
        engine.write([(b"b", None), (b"c", anything("text"))])
    assert dict(engine) == {b"b": b"2"}
    engine.write(iter([(b"d", b"4")]))
    engine.write([])
    assert dict(engine) == {b"b": b"2", b"d": b"4"}


def test_walks_live_with_removals(engine: Engine) -> None:
    """A key removed while somebody walks is left out of items, values and scans; and raises nothing."""
    engine.update({b"%d" % number: b"v%d" % number for number in range(5)})
    for walk in (engine.items, engine.values, engine.scan):
        steps = iter(walk())
        next(steps)
        engine.clear()
        rest = list(steps)
        assert rest == [] or walk == engine.scan  # a scan may have read some pairs ahead
        engine.update({b"%d" % number: b"v%d" % number for number in range(5)})
        assert len(list(walk())) == 5


def test_iteration_is_of_one_moment(engine: Engine) -> None:
    """Keys that come or go during an iteration neither disturb nor join it."""
    engine.update({b"a": b"1", b"b": b"2"})
    seen = []
    for key in engine:
        seen.append(key)
        engine[b"new" + key] = b""
        del engine[key]
    assert sorted(seen) == [b"a", b"b"]
    assert sorted(engine) == [b"newa", b"newb"]


def test_after_close_everything_raises(engine: Engine) -> None:
    """After close() every call raises StoreClosedError, except another close()."""
    engine[b"a"] = b"1"
    steps = engine.scan()
    engine.close()
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.set(b"a", b""), lambda: engine.get(b"a"), lambda: engine.get(b"other"), lambda: engine[b"a"],
        lambda: engine.remove(b"a"), lambda: engine.remove(b"b"), lambda: engine.write([(b"a", None)]),
        lambda: engine.write([]), lambda: engine.update({}), lambda: len(engine), lambda: b"a" in engine,
        lambda: list(engine), engine.scan, lambda: next(steps), lambda: list(engine.items()),
        lambda: list(engine.values()), engine.stats, engine.clear, engine.popitem,
    ]  # fmt: skip
    if not isinstance(engine, MemoryEngine):
        calls += [engine.sync, engine.compact]
    for number, call in enumerate(calls):
        with pytest.raises(StoreClosedError, match="the store is closed"):
            pytest.fail(f"call {number} gave {call()!r}")
    assert "closed" in repr(engine) or isinstance(engine, MemoryEngine)


def test_sync_and_compact_change_nothing_seen(engine: Engine) -> None:
    """sync() and compact() leave every pair as it is, and may be called on an empty store, and twice."""
    for _ in range(2):
        engine.sync()
        engine.compact()
    pairs = {b"%d" % number: b"v" * number for number in range(50)}
    engine.update(pairs)
    for number in range(0, 50, 3):
        del engine[b"%d" % number]
        del pairs[b"%d" % number]
    for _ in range(2):
        engine.sync()
        engine.compact()
        assert dict(engine) == pairs


def test_stats_count_keys_and_bytes(engine: Engine) -> None:
    """stats() names the engine, counts the keys, and what is live grows and falls with them."""
    assert (engine.stats().engine, engine.stats().keys, engine.stats().live_bytes) == (engine.name, 0, 0)
    engine.update({b"a": bytes(100), b"b": bytes(100)})
    full = engine.stats()
    assert full.keys == 2
    assert 202 <= full.live_bytes <= 300
    del engine[b"a"]
    assert engine.stats().keys == 1
    assert engine.stats().live_bytes == full.live_bytes // 2


@pytest.mark.timeout(20)
def test_threads_may_share_it(engine: Engine) -> None:
    """Threads that write, remove, batch, walk and read at once leave exactly what they wrote last."""
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work(mine: bytes) -> None:
        try:
            start.wait(10)
            for number in range(40):
                engine.set(mine + b"%d" % (number % 7), b"%d" % number)
                engine.write([(mine + b"x", b"%d" % number), (mine + b"y", b"%d" % number)])
                if number % 7 == 3:
                    engine.remove(mine + b"3")
                found = dict(engine.scan(prefix=mine))
                assert found[mine + b"%d" % (number % 7)] == b"%d" % number if number % 7 != 3 else True
                assert found[mine + b"x"] == found[mine + b"y"] == b"%d" % number
                list(engine.items())
        except BaseException as error:  # noqa: BLE001  # the main thread tells
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert failures == []
    expected = {b"%d" % (number % 7): b"%d" % number for number in range(40) if number % 7 != 3}
    expected |= {b"x": b"39", b"y": b"39"}
    assert dict(engine) == {name + key: value for name, key in itertools.product([b"a", b"b", b"c", b"d"], expected)
                            for value in [expected[key]]}  # fmt: skip


def test_memory_engine_is_what_the_face_opens_by_name(scratch: Path) -> None:
    """kvs.open with engine="memory" makes a MemoryEngine, with another name it says which there are."""
    assert isinstance(kvs.open(scratch, "memory"), MemoryEngine)
    with pytest.raises(ValueError, match=r"no engine is called 'disk'; there are .*log.*memory"):
        kvs.open(scratch, "disk")


def test_pop_of_one_key_by_many_is_no_error(engine: Engine) -> None:
    """Threads that pop the same key with a default get the value or the default; none gets an error."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(300):
                engine[b"k"] = b"v"
                assert engine.pop(b"k", None) in {b"v", None}
        except BaseException as error:  # noqa: BLE001  # told by the main thread
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    engine[b"k"] = b"v"
    assert engine.pop(b"k") == b"v"
    with pytest.raises(KeyNotFoundError):
        engine.pop(b"k")
    assert engine.pop(b"k", default=b"d") == b"d"


@pytest.mark.parametrize("bounds", [{"start": "a"}, {"stop": 1}, {"prefix": bytearray(b"a")}])
def test_bounds_of_a_scan_are_bytes(engine: Engine, bounds: dict[str, Any]) -> None:
    """A bound of another type is a TypeError that names it, in an empty store as in a full one."""
    for _ in range(2):
        with pytest.raises(TypeError, match=f"not {type(next(iter(bounds.values()))).__name__}"):
            list(engine.scan(**bounds))
        engine[b"a"] = b"1"
