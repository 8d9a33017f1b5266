"""Background compactions: failures, closing, dropping, forking in the middle of one."""

import errno
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from log_disks import WatchedDisk
from support.frozen import STUCK, Call
from test_log_fork import in_child

from kvs import LockFreeEngine, LogEngine, StorageError, StoreClosedError, StoreLockedError
from kvs.lockfree import background
from kvs.log.options import LogOptions

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),  # newer Pythons warn of just what is tried here
]
DEADLINE_S = 20
KEYS = [b"key%d" % number for number in range(5)]
EXPECTED = dict.fromkeys(KEYS, b"old")


class Held:
    """A store on a disk whose first step that begins with certain words is held up; it compacts when told to."""

    def __init__(self, path: Path, words: str, **options: Any) -> None:
        self.disk = WatchedDisk(path)
        chosen = {"sync": "none", "segment_bytes": 500, "compact_dead_bytes": 1 << 40, **options}
        self.store = LockFreeEngine(self.disk, LogOptions(**chosen))
        for _ in range(2):
            for key in KEYS:
                self.store.set(key, b"old")
        self.reached, self.gate = threading.Event(), threading.Event()
        self.words = words
        self.disk.before = self._hold

    def _hold(self, step: str) -> None:
        if step.startswith(self.words) and not self.reached.is_set():
            self.reached.set()
            assert self.gate.wait(DEADLINE_S)

    def compact(self) -> Call:
        """Begin a compaction in a thread of its own, and return when it is held up."""
        call = Call(self.store.compact)
        assert self.reached.wait(DEADLINE_S)
        return call


@pytest.fixture(params=["write ", "rename ", "unlink "])
def held(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Held]:
    """Return a store whose compaction is held up: before it writes, before its rename, or after it."""
    held = Held(scratch, request.param)
    yield held
    held.gate.set()


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread is about to bring about."""
    pause = threading.Event()
    for _ in range(DEADLINE_S * 1_000):
        if is_so():
            return
        pause.wait(0.001)
    pytest.fail("it did not come about")


def reopened(path: Path) -> dict[bytes, bytes]:
    """Return what the engine "log" finds there."""
    with LogEngine.open(path) as store:
        return dict(store)


def test_close_waits_for_the_merge_at_hand(held: Held, scratch: Path) -> None:
    """close() during a compaction returns when the merge at hand is done; no other begins; the store is sound."""
    compaction = held.compact()
    closing = Call(held.store.close)
    assert closing.result(0.05) is STUCK
    late = Call(held.store.compact)
    held.gate.set()
    assert closing.result() is None
    for call in (compaction, late):
        with suppress(StoreClosedError):
            call.result()
    steps = len(held.disk.steps)
    assert reopened(scratch) == EXPECTED
    assert len(held.disk.steps) == steps


def test_compaction_that_comes_too_late_does_nothing(scratch: Path) -> None:
    """A compaction that gets its turn when close() has waited already does not begin."""
    held = Held(scratch, "nothing")
    held.store._compactor.stop()
    with pytest.raises(StoreClosedError):
        held.store.compact()
    assert not any(step.startswith("write 0") for step in held.disk.steps)
    held.store.close()
    assert reopened(scratch) == EXPECTED


def test_dropped_store_keeps_its_directory_while_it_compacts(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that nobody closed gives its directory up when its compaction has ended, not in the middle of it."""
    monkeypatch.setattr(background, "FAREWELL_S", 0.05)
    held = Held(scratch, "rename ", compact_dead_bytes=100)
    for _ in range(100_000):  # the next write that finds it due begins it
        held.store.set(KEYS[0], b"old")
        if held.reached.is_set():
            break
    assert held.reached.wait(DEADLINE_S)
    del held.store
    gc.collect()
    with pytest.raises(StoreLockedError):
        LogEngine.open(scratch)
    held.gate.set()
    eventually(lambda: not any(thread.name == "kvs-compactor" for thread in threading.enumerate()))
    held.disk.before = lambda _step: None
    assert reopened(scratch) == EXPECTED


def test_dropped_store_is_free_at_once(scratch: Path) -> None:
    """Where nothing is under way, a dropped engine's directory is free when the last reference goes."""
    held = Held(scratch, "nothing")
    del held.store
    assert reopened(scratch) == EXPECTED


def test_child_of_a_compacting_parent_reads(held: Held, scratch: Path) -> None:
    """A fork in the middle of a compaction: the child reads all, compacts nothing, and closes; the parent goes on."""
    compaction = held.compact()
    store = held.store

    def read() -> object:
        found = (dict(store), [*store.scan()] == sorted(store.items()), len(store))
        with pytest.raises(StorageError):
            store.compact()
        store.close()
        return found

    assert in_child(read) == repr((EXPECTED, True, 5))
    held.gate.set()
    assert compaction.result() is None
    assert dict(store) == EXPECTED
    store.close()
    assert reopened(scratch) == EXPECTED


def test_child_of_a_publishing_parent_sees_the_batch_whole(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork while a batch is being published: the child has all of it, in every way to read."""
    held = Held(scratch, "nothing")
    store = held.store
    real = store._writer._point_at

    def hold(written: Any) -> None:
        held.reached.set()
        assert held.gate.wait(DEADLINE_S)
        real(written)

    monkeypatch.setattr(store._writer, "_point_at", hold)
    writer = Call(lambda: store.write([(KEYS[0], None), (b"new", b"1"), (KEYS[1], b"2")]))
    assert held.reached.wait(DEADLINE_S)
    after = {b"key1": b"2", b"key2": b"old", b"key3": b"old", b"key4": b"old", b"new": b"1"}
    answer = in_child(lambda: (sorted(store.items()), [*store.scan()], len(store), store.get(KEYS[0])))
    assert answer == repr((sorted(after.items()), sorted(after.items()), 5, None))
    held.gate.set()
    assert writer.result() is None
    assert dict(store) == after
    store.close()


def test_failed_compaction_is_tried_again(scratch: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk during a background compaction leaves everything; when more is dead, and room again, it comes."""
    held = Held(scratch, "nothing", compact_dead_bytes=2_000)
    store, number = held.store, 0
    failures = list[str]()

    def fail(name: str) -> None:
        if name.startswith("write ") and ".tmp" in name and len(failures) < 2:
            failures.append(name)
            raise StorageError("cannot write") from OSError(errno.ENOSPC, "full")

    held.disk.before = fail
    with caplog.at_level(logging.CRITICAL):
        while store.stats().merges == 0:
            number += 1
            store.set(KEYS[number % 5], b"%d" % number)
            assert store.get(KEYS[number % 5]) == b"%d" % number
            assert number < 500_000
    assert len(failures) == 2
    assert number > 2_000 // 40
    expected = dict(store)
    store.close()
    assert reopened(scratch) == expected


def test_failures_do_not_follow_each_other_at_once(scratch: Path) -> None:
    """After a failed compaction the next try waits until as much more is dead, however busy the writers are."""
    held = Held(scratch, "nothing", compact_dead_bytes=70_000, segment_bytes=1 << 20)
    failures = list[int]()

    def fail(name: str) -> None:
        if name.startswith("write ") and ".tmp" in name:
            failures.append(held.store._keydir.dead_bytes)
            raise StorageError("cannot write") from OSError(errno.ENOSPC, "full")

    held.disk.before = fail
    for number in range(3_000):
        held.store.set(KEYS[number % 5], bytes(100))
    compactor = held.store._compactor
    eventually(lambda: compactor._thread is None or not compactor._thread.is_alive())
    gaps = [later - sooner for sooner, later in pairwise(failures)]
    assert failures
    assert all(gap >= 65_536 for gap in gaps), gaps
    held.disk.before = lambda _step: None
    held.store.close()


def test_no_thread_to_be_had_is_no_failure_of_a_write(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, as at the interpreter's end, writes go on, and compact() does the work."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    held = Held(scratch, "nothing", compact_dead_bytes=100)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(20):
            for key in KEYS:
                held.store.set(key, b"old")
    held.store.compact()
    assert held.store.stats().merges > 0
    assert dict(held.store) == EXPECTED
    held.store.close()
    assert reopened(scratch) == EXPECTED


def test_one_compaction_at_a_time(scratch: Path) -> None:
    """A compact() beside another waits for it, then finds nothing to do; sets beside both are kept."""
    held = Held(scratch, "rename ")
    first, second = held.compact(), Call(held.store.compact)
    assert second.result(0.05) is STUCK
    held.store.set(KEYS[0], b"new")
    held.gate.set()
    assert (first.result(), second.result()) == (None, None)
    assert sum(step.startswith("rename 0") for step in held.disk.steps) <= 2
    assert dict(held.store) == {**EXPECTED, KEYS[0]: b"new"}
    held.store.close()
    assert reopened(scratch) == {**EXPECTED, KEYS[0]: b"new"}
