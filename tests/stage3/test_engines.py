"""Task 3.4: a second engine keeps the contract of the first."""

import random
import threading
from pathlib import Path
from typing import Any

import pytest
from support.child import run_program, start_program
from support.directory import total_bytes
from support.engines import BOTH, every_engine
from support.target import Target

import kvs
from kvs import Engine

pytestmark = pytest.mark.task("3.4")

DEADLINE_S = 10

WRITER = """
import sys
import kvs
store = kvs.open(sys.argv[1], sys.argv[2])
for number in range(10_000_000):
    store.set(b"key%d" % number, b"value%d" % number)
    print(number, flush=True)
"""
INTRUDER = """
import sys
import kvs
try:
    kvs.open(sys.argv[1], sys.argv[2])
except kvs.StoreLockedError as error:
    print("refused", error)
else:
    print("opened")
"""


# The six library tests of project 3 of the Rust course, under their names there, for every engine.


@every_engine
def test_get_stored_value(scratch: Path, engine: str) -> None:
    """What was set is what get returns, before and after a reopen."""
    for is_new in (True, False):
        with kvs.open(scratch, engine) as store:
            if is_new:
                store.set(b"key1", b"value1")
                store.set(b"key2", b"value2")
            assert store.get(b"key1") == b"value1"
            assert store.get(b"key2") == b"value2"


@every_engine
def test_overwrite_value(scratch: Path, engine: str) -> None:
    """The last set of a key counts, before and after a reopen."""
    with kvs.open(scratch, engine) as store:
        store.set(b"key1", b"value1")
        assert store.get(b"key1") == b"value1"
        store.set(b"key1", b"value2")
        assert store.get(b"key1") == b"value2"
    with kvs.open(scratch, engine) as store:
        assert store.get(b"key1") == b"value2"
        store.set(b"key1", b"value3")
        assert store.get(b"key1") == b"value3"


@every_engine
def test_get_non_existent_value(scratch: Path, engine: str) -> None:
    """A key that was never set has no value, before and after a reopen."""
    with kvs.open(scratch, engine) as store:
        store.set(b"key1", b"value1")
        assert store.get(b"key2") is None
        assert store.get(b"key2", b"default") == b"default"
    with kvs.open(scratch, engine) as store:
        assert store.get(b"key2") is None


@every_engine
def test_remove_non_existent_key(scratch: Path, engine: str) -> None:
    """Removing what is not there raises, also when it was there once."""
    with kvs.open(scratch, engine) as store:
        with pytest.raises(kvs.KeyNotFoundError):
            store.remove(b"key1")
        store.set(b"key1", b"value1")
        store.remove(b"key1")
        with pytest.raises(kvs.KeyNotFoundError):
            store.remove(b"key1")


@every_engine
def test_remove_key(scratch: Path, engine: str) -> None:
    """A removed key has no value any more, before and after a reopen; its neighbours have."""
    with kvs.open(scratch, engine) as store:
        store.set(b"key1", b"value1")
        store.set(b"key2", b"value2")
        store.remove(b"key1")
        assert store.get(b"key1") is None
    with kvs.open(scratch, engine) as store:
        assert store.get(b"key1") is None
        assert store.get(b"key2") == b"value2"


@every_engine
def test_compaction(scratch: Path, engine: str) -> None:
    """A store that only overwrites does not grow without end, and at compact() it shrinks to what lives."""
    live_bytes = 200 * 4_000
    with kvs.open(scratch, engine) as store:
        for round_number in range(40):
            for number in range(200):
                store.set(b"key%d" % number, b"%d" % round_number * 2_000)
    assert total_bytes(scratch) < 20_000_000, "40 rounds of 800 kB were written, and 800 kB live"
    with kvs.open(scratch, engine) as store:
        store.compact()
        assert all(store.get(b"key%d" % number) == b"39" * 2_000 for number in range(200))
        for number in range(10, 200):
            store.remove(b"key%d" % number)
        store.compact()
    assert total_bytes(scratch) < live_bytes / 5, "a twentieth of it is left"
    with kvs.open(scratch, engine) as store:
        assert dict(store) == {b"key%d" % number: b"39" * 2_000 for number in range(10)}


# The contract, for every engine.


def test_there_are_two_engines() -> None:
    """engine_names() lists both the log and sqlite."""
    assert set(BOTH) <= set(kvs.engine_names())


@every_engine
def test_engine_knows_its_name(scratch: Path, engine: str) -> None:
    """A store's name, and the engine in its stats(), are the name that it is opened by."""
    with kvs.open(scratch, engine) as store:
        assert store.name == engine
        assert store.stats().engine == engine


def test_unknown_engine_is_refused(scratch: Path) -> None:
    """An engine that does not exist is a ValueError that names it; nothing is made."""
    with pytest.raises(ValueError, match="papyrus"):
        kvs.open(scratch / "store", "papyrus")
    assert not (scratch / "store").exists()


@every_engine
def test_any_bytes_are_kept(scratch: Path, engine: str) -> None:
    """Keys and values are any bytes: none at all, zeros, what is not UTF-8, what looks like text, numbers and SQL."""
    pairs = {
        b"": b"empty key",
        b"empty value": b"",
        b"a": b"without a zero",
        b"a\0": b"with a zero behind",
        b"a\0\0": b"with two",
        b"\0": b"\0",
        b"\xff\xfe\x80": bytes(range(256)) * 3,
        b"7": b"a number",
        b"07": b"another",
        b"key": b"small",
        b"KEY": b"large",
        b"'; DROP TABLE pairs; --": b"' OR '1'='1",
        b"k" * 65_535: b"the longest key",
        b"long": b"v" * 300_000,
    }
    with kvs.open(scratch, engine) as store:
        for key, value in pairs.items():
            store.set(key, value)
        assert {key: store.get(key) for key in pairs} == pairs
    with kvs.open(scratch, engine) as store:
        assert {key: store.get(key) for key in pairs} == pairs
        assert sorted(store) == sorted(pairs)
        store.remove(b"a\0")
        assert store.get(b"a") == b"without a zero"
        assert store.get(b"a\0\0") == b"with two"


@every_engine
def test_it_is_a_mapping(scratch: Path, engine: str) -> None:
    """len, `in`, iteration and brackets are those of a dict with the same steps behind it."""
    with kvs.open(scratch, engine) as store:
        assert (len(store), list(store), b"a" in store) == (0, [], False)
        store[b"a"] = b"1"
        store[b"b"] = b"2"
        store[b"a"] = b"3"
        assert (len(store), sorted(store), b"a" in store, b"c" in store) == (2, [b"a", b"b"], True, False)
        assert dict(store) == {b"a": b"3", b"b": b"2"}
        del store[b"a"]
        assert (len(store), sorted(store)) == (1, [b"b"])
        with pytest.raises(kvs.KeyNotFoundError):
            store[b"a"]
        assert store.stats().keys == 1


@every_engine
def test_agrees_with_a_dict(scratch: Path, engine: str, rng: random.Random) -> None:
    """After 600 random steps, reopened and compacted in between, the store holds what a dict does."""
    model: dict[bytes, bytes] = {}
    for _ in range(6):
        with kvs.open(scratch, engine) as store:
            assert dict(store) == model
            for _ in range(100):
                key = rng.choice([b"", b"a", b"ab", b"b", b"\0", b"a\0"])
                if key in model and rng.random() < 0.4:
                    store.remove(key)
                    del model[key]
                else:
                    model[key] = rng.randbytes(rng.choice([0, 1, 50, 5_000]))
                    store.set(key, model[key])
                assert store.get(key) == model.get(key)
                assert len(store) == len(model)
            if rng.random() < 0.5:
                store.compact()


@every_engine
def test_what_is_no_key_or_value_is_refused(scratch: Path, engine: str) -> None:
    """Another type than bytes is a TypeError, a key of 65,536 bytes an InvalidKeyError; nothing is stored."""
    text: Any = "text"
    number: Any = 5
    with kvs.open(scratch, engine) as store:
        for wrong in (text, number):
            for call in (lambda w=wrong: store.set(w, b""), lambda w=wrong: store.set(b"k", w)):
                with pytest.raises(TypeError):
                    call()
            for ask in (store.get, store.remove):
                with pytest.raises(TypeError):
                    ask(wrong)
        with pytest.raises(kvs.InvalidKeyError):
            store.set(b"k" * 65_536, b"")
        assert store.get(b"k" * 65_536) is None
        assert len(store) == 0


@every_engine
def test_closed_store_is_closed(scratch: Path, engine: str) -> None:
    """After close() every call raises StoreClosedError, but a second close(); what was stored stays."""
    store = kvs.open(scratch, engine)
    store.set(b"key", b"value")
    store.close()
    store.close()
    calls = [
        lambda: store.get(b"key"), lambda: store.set(b"key", b""), lambda: store.remove(b"key"), lambda: len(store),
        lambda: b"key" in store, lambda: list(store), store.stats, store.sync, store.compact,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(kvs.StoreClosedError):
            call()
    with kvs.open(scratch, engine) as store:
        assert store.get(b"key") == b"value"


@every_engine
def test_sync_and_compact_change_nothing_seen(scratch: Path, engine: str) -> None:
    """sync() and compact() leave every pair as it is, on an empty store too, and may be repeated."""
    with kvs.open(scratch, engine) as store:
        for _ in range(2):
            store.sync()
            store.compact()
        for number in range(50):
            store.set(b"%d" % number, b"v" * number)
        for number in range(0, 50, 3):
            store.remove(b"%d" % number)
        wanted = {b"%d" % number: b"v" * number for number in range(50) if number % 3}
        for _ in range(2):
            store.sync()
            store.compact()
            assert dict(store) == wanted


@every_engine
def test_one_owner(target: Target, scratch: Path, engine: str) -> None:
    """A directory has one owner at a time, in this process and among all; the refusal names the directory."""
    with kvs.open(scratch, engine) as store:
        store.set(b"key", b"value")
        with pytest.raises(kvs.StoreLockedError):
            kvs.open(scratch, engine)
        [answer] = run_program(target, INTRUDER, scratch, engine)
        assert answer.startswith("refused")
        assert str(scratch) in answer
        assert store.get(b"key") == b"value"
    assert run_program(target, INTRUDER, scratch, engine) == ["opened"]


@every_engine
def test_killed_owner_loses_nothing(target: Target, scratch: Path, engine: str) -> None:
    """After kill -9 every acknowledged write is there, and the next open needs no help."""
    with start_program(target, WRITER, scratch, engine) as writer:
        for _ in range(200):
            acknowledged = int(writer.read_line() or -1)
        writer.kill()
    with kvs.open(scratch, engine) as store:
        assert acknowledged >= 199
        assert len(store) > acknowledged
        assert all(store.get(b"key%d" % number) == b"value%d" % number for number in range(len(store)))


@every_engine
def test_threads_may_share_a_store(scratch: Path, engine: str) -> None:
    """Four threads that set, get and remove keys of their own, in one store, find what they left and lose nothing."""
    errors: list[BaseException] = []

    def work(store: Engine, mine: int) -> None:
        try:
            for number in range(150):
                key = b"%d-%d" % (mine, number)
                store.set(key, b"v%d" % number)
                assert store.get(key) == b"v%d" % number
                assert len(store) > 0
                if number % 3 == 0:
                    store.remove(key)
                    assert key not in store
        except BaseException as error:  # noqa: BLE001  # told by the main thread
            errors.append(error)

    with kvs.open(scratch, engine) as store:
        threads = [threading.Thread(target=work, args=(store, mine)) for mine in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert errors == []
        assert len(store) == 4 * 100


@every_engine
def test_foreign_files_are_left_alone(scratch: Path, engine: str) -> None:
    """Files that are not the store's stay as they are, through writes, compaction and reopening."""
    foreign = {"notes.txt": b"mine", "table.csv": b"a,b", ".hidden": b"x", "data": b"y", "folder/1.data": b"mine"}
    (scratch / "folder").mkdir()
    for name, data in foreign.items():
        (scratch / name).write_bytes(data)
    for number in range(2):
        with kvs.open(scratch, engine) as store:
            store.set(b"key", b"%d" % number)
            store.compact()
    assert {name: (scratch / name).read_bytes() for name in foreign} == foreign
