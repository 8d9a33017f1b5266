"""LockFreeEngine from within: batches, walks, rot, and what becomes of all that when it is closed."""

import os
import threading
import zlib
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import inside
import pytest
from support.churn import switching_often
from support.frozen import STUCK, Call
from support.stepper import stopped
from support.target import ROOT

from kvs import CorruptRecordError, LockFreeEngine, StoreClosedError
from kvs.lockfree import store as store_room

pytestmark = pytest.mark.timeout(60)

READER = str(ROOT / "kvs/lockfree/store.py")
WRITER = str(ROOT / "kvs/log/writer.py")
PROC = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list what is open")


def open_store(path: Path, **options: Any) -> LockFreeEngine:
    """Open a store that compacts when it is told to."""
    return LockFreeEngine.open(path, **{"sync": "none", "compact_dead_bytes": 1 << 40, **options})


def crossings(write: Any, read: Any, then: Any = lambda: None) -> Any:
    """Stop a writer at each line of its publishing, and a reader beside it at each of its own; then let both go on.

    Yields what the reader returned, and where both were stopped.
    """
    for line in count():
        for other_line in count():
            with stopped(write, WRITER, line) as writing:
                if not writing.stands:
                    return
                with stopped(read, READER, other_line) as reading:
                    writing.finish()
                    then()
                    is_end = not reading.stands
                    yield reading.finish(), f"the writer at {writing.where}, the reader at {reading.where}"
            if is_end:
                break


def test_scan_never_sees_half_a_batch(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a batch's writer and a scan meet, no key is shown new and a later one old."""
    monkeypatch.setattr(store_room, "ORDER_PATIENCE_S", 0)
    version = 0
    with open_store(scratch) as store:

        def write() -> None:
            nonlocal version
            version += 1
            store.write([(b"a", b"%d" % version), (b"b", b"%d" % version)])

        write()
        met = 0
        for found, where in crossings(write, lambda: dict(store.scan())):
            met += 1
            assert int(found[b"a"]) <= int(found[b"b"]), where
            assert {int(value) for value in found.values()} <= {version - 1, version}, where
        assert met > 500


def test_walk_shows_one_moment(scratch: Path) -> None:
    """Wherever a batch's writer and a walk over the keys meet, the keys are those of one moment."""
    with open_store(scratch) as store:

        def then() -> None:
            store.remove(b"a")
            store.set(b"y", b"")

        store.set(b"b", b"")
        moments = [{b"b"}, {b"a", b"b", b"c"}, {b"b", b"c"}, {b"b", b"c", b"y"}]
        for found, where in crossings(lambda: store.write([(b"a", b""), (b"c", b"")]), lambda: set(store), then):
            assert found in moments, where
            assert set(store) == moments[-1]
            store.write([(b"c", None), (b"y", None)])


def test_length_and_presence_beside_a_batch(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch is held up between its log and its index, `in`, `[]`, walks and scans show all of it already."""
    with open_store(scratch) as store:
        store.update({b"a": b"1", b"b": b"1"})
        reached, gate = threading.Event(), threading.Event()
        real = store._writer._point_at

        def held(written: Any) -> None:
            reached.set()
            assert gate.wait(20)
            real(written)

        monkeypatch.setattr(store._writer, "_point_at", held)
        writer = Call(lambda: store.write([(b"a", None), (b"b", b"2"), (b"c", b"2")]))
        assert reached.wait(20)
        try:
            assert (b"a" in store, b"b" in store, b"c" in store, b"d" in store) == (False, True, True, False)
            assert (store.get(b"a"), store.get(b"b"), store.get(b"c", b"-")) == (None, b"2", b"2")
            assert sorted(store) == [b"b", b"c"]
            assert [*store.scan()] == [(b"b", b"2"), (b"c", b"2")]
            assert len(store) in {2, 3}
        finally:
            gate.set()
        assert writer.result() is None
        assert (len(store), dict(store)) == (2, {b"b": b"2", b"c": b"2"})


def rot(scratch: Path, value: bytes) -> None:
    """Damage this value where it lies, under the open store."""
    for path in scratch.glob("*.data"):
        at = path.read_bytes().find(value)
        if at >= 0:
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([value[0] ^ 1]))


def test_rot_is_reported(scratch: Path) -> None:
    """A value that is not what was written is an error, alone and in a scan; other keys are read as ever."""
    with open_store(scratch) as store:
        store.update({b"a": b"damaged value", b"b": b"2"})
        rot(scratch, b"damaged value")
        for read in (lambda: store.get(b"a"), lambda: store[b"a"], lambda: [*store.scan()]):
            with pytest.raises(CorruptRecordError, match=r"0000000001\.data"):
                read()
        assert store.get(b"b") == b"2"


@pytest.mark.parametrize("way", ["get", "scan"])
def test_bytes_that_went_bad_after_a_merge_are_read_from_its_copy(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """What does not check out in a segment that was merged away meanwhile is read again, where it is now."""
    with open_store(scratch) as store:
        store.update({b"a": b"1", b"b": b"2"})
        store.set(b"a", b"3")
        calls = list[int]()

        def bad_at_first(data: bytes, seed: int = 0) -> int:
            calls.append(1)
            if len(calls) == 1:
                store.compact()
                return 0
            return zlib.crc32(data, seed)

        monkeypatch.setattr(store_room, "crc32", bad_at_first)
        assert (store.get(b"a") if way == "get" else dict(store.scan())[b"a"]) == b"3"
        assert len(calls) > 1


def test_scan_shows_what_is_there_when_it_comes_by(scratch: Path) -> None:
    """A key that is removed during a scan, by whatever writer, is left out; one set anew is shown anew."""
    with open_store(scratch) as store:
        store.update({b"%04d" % number: b"old" for number in range(600)})
        walk = store.scan()
        next(walk)
        store.remove(b"0400")
        store.set(b"0401", b"new")
        found = dict(walk)
        assert b"0400" not in found
        assert (found[b"0401"], len(found)) == (b"new", 598)


# Closing.


def test_close_beside_many_readers(scratch: Path) -> None:
    """Eight threads that read while the store is closed get values, and then StoreClosedError; nothing else, ever."""
    with switching_often():
        for cycle in range(10):
            store = open_store(scratch / str(cycle))
            store.update({b"%d" % number: b"value" for number in range(20)})
            started = threading.Barrier(9)

            def read(store: LockFreeEngine = store, started: threading.Barrier = started) -> int:
                started.wait(20)
                for number in count():
                    try:
                        assert store.get(b"%d" % (number % 20)) == b"value"
                        assert b"5" in store
                        assert len(store) == 20
                        assert len([*store]) == 20
                        assert all(value == b"value" for _, value in store.scan())
                    except StoreClosedError:
                        return number
                return 0

            readers = [Call(read) for _ in range(8)]
            started.wait(20)
            for _ in range(50 * cycle):
                store.get(b"1")
            store.close()
            assert all(reader.result() is not STUCK for reader in readers)


def test_closed_store_says_so(scratch: Path) -> None:
    """Every read of a closed store is StoreClosedError, of keys that were there and of others; so is compact()."""
    store = open_store(scratch)
    store[b"a"] = b"1"
    store.close()
    store.close()
    calls = [
        lambda: store.get(b"a"), lambda: store.get(b"z", b""), lambda: b"a" in store, lambda: len(store),
        lambda: iter(store), store.scan, store.compact, store.stats, lambda: store.set(b"a", b""),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StoreClosedError):
            call()


@PROC
def test_closed_store_holds_no_file(scratch: Path) -> None:
    """After close() nothing of the directory is mapped or open, also while somebody still has the object."""
    store = open_store(scratch, segment_bytes=1_000)
    store.update({b"%d" % number: bytes(100) for number in range(50)})
    store.close()
    with open("/proc/self/maps") as maps:
        assert str(scratch) not in maps.read()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            assert str(scratch) not in os.readlink(f"/proc/self/fd/{descriptor}")
    assert repr(store).endswith("closed>")


@PROC
@pytest.mark.timeout(200)  # beside a reader that computes, each hand-over of the interpreter takes 5 ms
def test_nothing_is_left_of_a_thousand_compactions(scratch: Path) -> None:
    """Over 1,000 compactions, beside a reader, no descriptor, no mapping and no thread is left behind."""

    def left() -> tuple[int, int, int]:
        with open("/proc/self/maps") as maps:
            mapped = sum(str(scratch) in line for line in maps)
        return len(os.listdir("/proc/self/fd")), mapped, threading.active_count()

    stop = [False]
    with open_store(scratch, segment_bytes=2_000) as store:

        def read() -> None:
            while not stop[0]:
                assert store.get(b"0") in {None, bytes(100)}

        before = left()
        reader = Call(read)
        for number in range(1_000):
            store.set(b"%d" % (number % 10), bytes(100))
            store.set(b"%d" % (number % 10), bytes(100))
            store.compact()
        stop[0] = True
        assert reader.result() is None
        after = left()
        assert store.stats().merges >= 900
        assert after[0] <= before[0] + 3
        assert after[1] <= before[1] + 4
        assert after[2] <= before[2]
        assert inside.keydir(store).entries.keys() == {b"%d" % number for number in range(10)}


# Steps that the threads above take while they are followed line by line, which hides them from the coverage report.


class Turning(dict[Any, Any]):
    """A dict that lets something happen just before it is first looked into."""

    def __init__(self, real: dict[Any, Any], happens: Any) -> None:
        super().__init__(real)
        self.real, self.happens = real, [happens]

    def __getitem__(self, key: Any) -> Any:
        if self.happens:
            self.happens.pop()()
        return self.real[key]


def test_reader_whose_segment_went_looks_again(scratch: Path) -> None:
    """A reader that knows where a value is, and finds the segment merged away, looks the key up again."""
    with open_store(scratch) as store:
        store.update({b"a": b"1", b"b": b"2"})
        store.set(b"b", b"3")
        store._views = Turning(store._views, store.compact)
        assert store.get(b"a") == b"1"
        assert not store._views.happens


def test_walk_begins_again_when_a_batch_came_between(scratch: Path) -> None:
    """A walk that finds a batch published while it copied the keys copies them once more."""

    class Batches:
        """The writer's fields, of which one changes when it was read once."""

        reads = 0
        publishing = None

        @property
        def batches(self) -> int:
            self.reads += 1
            return min(self.reads, 2)

    with open_store(scratch) as store:
        store.set(b"a", b"1")
        real, store._writer = store._writer, Batches()
        assert [*store] == [b"a"]
        assert store._writer.reads == 4
        store._writer = real


def test_key_of_another_type_is_refused(scratch: Path) -> None:
    """A key that is no bytes is a TypeError that says so; a kind of bytes is as good as bytes."""

    class Kind(bytes):
        __slots__ = ()

    with open_store(scratch) as store:
        store.set(Kind(b"a"), b"1")
        assert store.get(Kind(b"a")) == store.get(b"a") == b"1"
        with pytest.raises(TypeError, match="a key is bytes, not str"):
            store.get("a")
