"""The executable definition of lock-free reads is one: the engines that have a lock for reads fail it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.churn import Churn, switching_often
from support.frozen import FSYNCS, RENAMES, STUCK, Call, beside, freeze
from support.stepper import at_every_line
from support.target import ROOT

import kvs

pytestmark = pytest.mark.timeout(60)

KEYS = [b"key%d" % number for number in range(4)]
LONG_S, SHORT_S, ROUND_S = 5.0, 0.3, 0.3


def open_store(path: Path, engine: str, sync: str) -> kvs.Engine:
    """Open a store with something dead in it."""
    store = kvs.open(path, engine, sync=sync, compact_dead_bytes=1 << 40)
    for _ in range(2):
        for key in KEYS:
            store.set(key, b"old")
    return store


def reads_beside_a_frozen_fsync(store: kvs.Engine, monkeypatch: pytest.MonkeyPatch, bound_s: float) -> list[Any]:
    """Return what reads come to beside a writer that is held up in its fsync."""
    ways: list[Callable[[], Any]] = [
        lambda: store.get(KEYS[0]), lambda: store.get(KEYS[1]), lambda: KEYS[1] in store, lambda: len(store),
        lambda: sorted(store), lambda: dict(store.scan()),
    ]  # fmt: skip
    return beside(freeze(monkeypatch, FSYNCS), lambda: store.set(KEYS[0], b"new"), ways, bound_s)


@pytest.mark.parametrize("engine", ["log", "rwlock"])
def test_reads_with_a_lock_wait_for_an_fsync(scratch: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Behind one big lock, and behind a readers-writer lock, every read waits for the writer in its fsync."""
    with open_store(scratch, engine, "always") as store:
        assert reads_beside_a_frozen_fsync(store, monkeypatch, SHORT_S) == [STUCK] * 6


def test_reads_without_a_lock_do_not(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one every read finishes, and shows nothing that is not durable yet."""
    with open_store(scratch, "lockfree", "always") as store:
        found = reads_beside_a_frozen_fsync(store, monkeypatch, LONG_S)
        assert found == [b"old", b"old", True, 4, KEYS, dict.fromkeys(KEYS, b"old")]
        assert store.get(KEYS[0]) == b"new"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("engine", ["log", "rwlock", "lockfree"])
def test_compaction_stops_who_has_a_lock(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, engine: str, *, after: bool
) -> None:
    """A compaction held up before or after its rename stops readers and writers, but for those of "lockfree"."""
    with open_store(scratch, engine, "none") as store:
        others: list[Callable[[], Any]] = [lambda: store.get(KEYS[0]), lambda: store.set(KEYS[1], b"new")]
        gate = freeze(monkeypatch, RENAMES, after=after)
        is_free = engine == "lockfree"
        found = beside(gate, store.compact, others, LONG_S if is_free else SHORT_S)
        assert found == ([b"old", None] if is_free else [STUCK, STUCK])
        assert dict(store) == {**dict.fromkeys(KEYS, b"old"), KEYS[1]: b"new"}


@pytest.mark.parametrize("engine", ["log", "rwlock"])
def test_stopped_writer_stops_reads_with_a_lock(scratch: Path, engine: str) -> None:
    """There are lines in `set` at which a stopped writer stops the readers of an engine with a lock."""
    with open_store(scratch, engine, "none") as store:
        waited = 0
        for standing in at_every_line(lambda: store.set(KEYS[0], b"new"), str(ROOT / "kvs")):
            call = Call(lambda: store.get(KEYS[0]))
            waited += call.result(0.05) is STUCK
            standing.finish()
            assert call.result() is not STUCK
        assert waited > 5


@pytest.mark.parametrize("engine", ["log", "rwlock"])
def test_readers_of_a_readers_writer_lock_share(scratch: Path, engine: str) -> None:
    """A reader that stands in its read stops other readers where there is one big lock, and not where they share."""
    with open_store(scratch, engine, "none") as store:
        waited = 0
        for standing in at_every_line(lambda: store.get(KEYS[0]), str(ROOT / "kvs/log/store.py")):
            call = Call(lambda: store.get(KEYS[1]))
            waited += call.result(0.05 if engine == "log" else LONG_S) is STUCK
            standing.finish()
            assert call.result() == b"old"
        assert (waited > 3) == (engine == "log")


def test_half_a_million_operations_are_linearizable(scratch: Path) -> None:
    """500,000 operations of eight threads beside rotations, merges and three reopenings: all of them possible."""
    churn, merges = Churn(), 0
    for _ in range(4):
        with kvs.open(scratch, "lockfree", sync="none", segment_bytes=20_000, compact_dead_bytes=5_000) as store:
            churn.run(store, 16_000)
            merges += store.stats().merges
    assert churn.size >= 500_000
    assert merges > 20
    assert churn.faults() == []


def test_reads_are_not_slower_beside_a_busy_writer(scratch: Path) -> None:
    """Beside a writer that never rests, readers without a lock get at least a tenth of what they do alone."""

    def count_reads() -> int:
        done, stop = [0], [False]

        def read() -> None:
            while not stop[0]:
                store.get(KEYS[1])
                done[0] += 1

        call = Call(read)
        threading.Event().wait(ROUND_S)
        stop[0] = True
        assert call.result() is not STUCK
        return done[0]

    with open_store(scratch, "lockfree", "none") as store:
        alone = count_reads()
        is_over = [False]

        def write() -> None:
            while not is_over[0]:
                store.set(KEYS[0], b"new")

        with switching_often():
            writer = Call(write)
            beside_it = count_reads()
            is_over[0] = True
            assert writer.result() is not STUCK
    assert beside_it > alone / 10
