"""Writers in mode "always" that wait at once share one fsync; what happens to one happens to it alone."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import inside
import pytest
from log_disks import WatchedDisk

from kvs import InvalidValueError, KeyNotFoundError, LogEngine, StorageError, StoreClosedError, WritesRefusedError
from kvs.log import writer as writer_room
from kvs.log.options import LogOptions

pytestmark = pytest.mark.timeout(30)
DEADLINE_S = 10


class Turn:
    """A store whose next fsync is held up until all writers of a test wait for it.

    1. The first writer is stopped inside its fsync.
    2. The others come, and queue behind it.
    3. The gate opens: whoever is next writes for all who wait.
    """

    def __init__(self, path: Path, **options: int) -> None:
        self.disk = WatchedDisk(path)
        self.store = LogEngine(self.disk, LogOptions(sync="always", **options))
        self.store[b"before"] = b""
        self.disk.steps.clear()
        self.reached, self.gate = threading.Event(), threading.Event()
        self.outcomes: dict[int, BaseException | None] = {}

    def run(self, *writes: Callable[[], object], between: Callable[[], None] = lambda: None) -> None:
        """Let these writes share a turn behind a first one; their outcomes are kept by their place.

        Args:
            writes: the writes.
            between: called when all wait, before the gate opens.
        """
        self.disk.before = self._hold
        threads = [self._start(-1, lambda: self.store.set(b"first", b""))]
        assert self.reached.wait(DEADLINE_S)
        for number, write in enumerate(writes):
            threads.append(self._start(number, write))
            wait_until(lambda count=number + 1: inside.waiting(self.store) == count)  # type: ignore[misc]  # default is int
        self.disk.before = lambda _step: None
        between()
        self.gate.set()
        for thread in threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def _hold(self, step: str) -> None:
        if step.startswith("sync "):
            self.reached.set()
            assert self.gate.wait(DEADLINE_S)

    def _start(self, number: int, write: Callable[[], object]) -> threading.Thread:
        def work() -> None:
            try:
                write()
            except BaseException as error:  # noqa: BLE001  # the test looks at it
                self.outcomes[number] = error
            else:
                self.outcomes[number] = None

        thread = threading.Thread(target=work)
        thread.start()
        return thread


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for a state that another thread is about to reach."""
    pause = threading.Event()
    for _ in range(DEADLINE_S * 1_000):
        if is_so():
            return
        pause.wait(0.001)
    pytest.fail("the state was not reached")


def test_waiting_writers_share_one_fsync(scratch: Path) -> None:
    """Twenty writers that queue behind a slow fsync need one more between them, and each value is there."""
    turn = Turn(scratch)
    writes = [lambda number=number: turn.store.set(b"%d" % number, b"v") for number in range(20)]
    turn.run(*writes)
    assert turn.disk.steps == ["sync 0000000001.data"] * 2
    assert set(turn.outcomes.values()) == {None}
    assert len(turn.store) == 22
    turn.store.close()
    with LogEngine.open(scratch) as again:
        assert len(again) == 22


def test_writes_of_a_turn_keep_their_order(scratch: Path) -> None:
    """Writes of one key in one turn count in the order in which they queued."""
    turn = Turn(scratch)
    store = turn.store
    turn.run(
        lambda: store.set(b"k", b"1"), lambda: store.remove(b"k"), lambda: store.set(b"k", b"3"),
        lambda: store.write([(b"k", b"4"), (b"l", b"4")]), lambda: store.remove(b"l"),
    )  # fmt: skip
    assert set(turn.outcomes.values()) == {None}
    assert (store.get(b"k"), store.get(b"l")) == (b"4", None)
    before = dict(store)
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == before


def test_nothing_is_read_before_it_is_durable(scratch: Path) -> None:
    """While a turn's fsync is under way, its writes are in nobody's eyes."""
    turn = Turn(scratch)
    turn.run(between=lambda: pytest.fail("visible") if b"first" in inside.keydir(turn.store).entries else None)
    assert turn.outcomes == {-1: None}
    assert b"first" in turn.store
    turn.store.close()


def test_an_error_reaches_its_own_thread_alone(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal of a missing key, and a batch beyond its limit, fail alone: what shared their turn is written."""
    monkeypatch.setattr(writer_room, "MAX_BATCH_BYTES", 1_000)
    turn = Turn(scratch)
    store = turn.store
    turn.run(
        lambda: store.set(b"a", b"1"), lambda: store.remove(b"missing"), lambda: store.set(b"big", bytes(2_000)),
        lambda: store.remove(b"a"), lambda: store.remove(b"a"), lambda: store.set(b"b", b"2"),
    )  # fmt: skip
    kinds = [type(turn.outcomes[number]) for number in range(6)]
    none = type(None)
    assert kinds == [none, KeyNotFoundError, InvalidValueError, none, KeyNotFoundError, none]
    assert sorted(store) == [b"b", b"before", b"first"]
    assert "at most 1,000 bytes, this one has 2,027" in str(turn.outcomes[2])
    store.close()


def test_failed_fsync_reaches_all_who_shared_it(scratch: Path) -> None:
    """When a shared fsync fails, every writer of the turn is told; none of their writes is read."""
    turn = Turn(scratch)
    store = turn.store
    turn.run(
        lambda: store.set(b"a", b"1"), lambda: store.remove(b"missing"), lambda: store.set(b"b", b"2"),
        between=lambda: turn.disk.fail("sync", errno.EIO, times=2),
    )  # fmt: skip
    assert turn.outcomes[-1] is None, "it was already past the point at which fsyncs fail"
    assert [type(turn.outcomes[number]) for number in range(3)] == [StorageError, KeyNotFoundError, StorageError]
    assert sorted(store) == [b"before", b"first"]
    with pytest.raises(WritesRefusedError):
        store.set(b"c", b"3")
    store.close()


def test_failed_seal_in_a_turn_is_told_to_those_before_it(scratch: Path) -> None:
    """A write whose turn a later one shares is not acknowledged when that one seals the segment and its fsync fails."""
    turn = Turn(scratch, segment_bytes=1_000)
    store = turn.store
    turn.run(
        lambda: store.set(b"fits", b"1"), lambda: store.set(b"does not", bytes(2_000)),
        between=lambda: turn.disk.fail("sync", errno.EIO),
    )  # fmt: skip
    assert [isinstance(turn.outcomes[number], StorageError) for number in range(2)] == [True, True]
    assert sorted(store) == [b"before", b"first"]
    store.close()


def test_rotation_in_a_turn_loses_nothing(scratch: Path) -> None:
    """A turn may fill a segment, seal it and go on in the next, hints included: all of it is there after reopening."""
    turn = Turn(scratch, segment_bytes=100_000)
    store = turn.store
    store[b"gone"] = b"soon"
    turn.disk.steps.clear()
    turn.run(
        lambda: store.set(b"large", bytes(90_000)), lambda: store.remove(b"gone"),
        lambda: store.set(b"next", bytes(50_000)),
        lambda: store.set(b"last", b"1"),
    )  # fmt: skip
    assert set(turn.outcomes.values()) == {None}
    before = dict(store)
    assert sorted(before) == [b"before", b"first", b"large", b"last", b"next"]
    assert store.stats().segments == 2
    store.close()
    assert list(scratch.glob("*.hint"))
    with LogEngine.open(scratch) as again:
        assert again.stats().recovery.hints_used > 0
        assert dict(again) == before


def test_turn_after_close_raises(scratch: Path) -> None:
    """Writers that get their turn when the store has closed are told so."""
    turn = Turn(scratch)
    store = turn.store

    def closing() -> None:
        inside.mark_closed(store, is_closed=True)

    turn.run(lambda: store.set(b"a", b"1"), lambda: store.remove(b"before"), between=closing)
    assert [type(turn.outcomes[number]) for number in range(2)] == [StoreClosedError, StoreClosedError]
    inside.mark_closed(store, is_closed=False)
    store.close()


def test_interrupted_writer_leaves_no_ticket(scratch: Path) -> None:
    """Ctrl-C in the writer that serves a turn is raised there; the others of the turn are not told that all is well."""
    turn = Turn(scratch)
    store = turn.store

    def interrupt(step: str) -> None:
        if step.startswith("sync "):
            turn.disk.before = lambda _step: None
            raise KeyboardInterrupt

    def between() -> None:
        turn.disk.before = interrupt

    turn.run(lambda: store.set(b"a", b"1"), lambda: store.set(b"b", b"2"), between=between)
    errors = sorted(type(turn.outcomes[number]).__name__ for number in range(2))
    assert errors == ["KeyboardInterrupt", "StorageError"]
    assert inside.waiting(store) == 0
    store.set(b"c", b"3")
    assert store[b"c"] == b"3"
    store.close()
