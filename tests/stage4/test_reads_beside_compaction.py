"""Task 4.4: compactions go on beside readers and writers, and take away no bytes that somebody may still read."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from designs import BOUND_S, KEYS, churn, small_store
from support.frozen import RENAMES, STUCK, Call, beside, freeze
from support.stepper import at_every_line, stopped
from support.target import Target

import kvs

pytestmark = pytest.mark.task("4.4")

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list what is open")


@pytest.mark.parametrize("after", [False, True], ids=["before its rename", "after its rename"])
def test_frozen_compaction_stops_nobody(scratch: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """While a compaction hangs before its rename, or right after it, reads and writes finish, and see each other."""
    with small_store(scratch) as store:

        def write_and_read(key: bytes) -> bytes | None:
            store.set(key, b"new")
            store.remove(KEYS[9]) if key == KEYS[0] else None
            return store.get(key)

        gate = freeze(monkeypatch, RENAMES, after=after)
        others: list[Callable[[], Any]] = [lambda key=key: store.get(key) for key in KEYS[4:8]]  # type: ignore[misc]  # default is bytes
        others += [lambda key=key: write_and_read(key) for key in KEYS[:3]]  # type: ignore[misc]  # default is bytes
        others += [lambda: len(set(store)) in {9, 10}]
        found = beside(gate, store.compact, others, BOUND_S)
        assert found == [b"old"] * 4 + [b"new"] * 3 + [True]
        expected = {key: b"new" if key in KEYS[:3] else b"old" for key in KEYS[:9]}
        assert dict(store) == expected
    with kvs.open(scratch, "lockfree") as store:
        assert dict(store) == expected


@pytest.mark.parametrize("is_overwritten", [False, True], ids=["moved", "overwritten and moved"])
def test_reader_stopped_at_any_line_survives_compactions(
    scratch: Path, target: Target, *, is_overwritten: bool
) -> None:
    """Wherever a reader is stopped, whole compactions may go by: it finds its value, though its file is gone."""
    with small_store(scratch) as store:
        store.set(KEYS[5], b"0")
        for number, standing in enumerate(at_every_line(lambda: store.get(KEYS[5]), str(target.directory / "kvs"))):
            for _ in range(2):
                for key in KEYS[:5]:
                    store.set(key, b"dead" * 20)
                if is_overwritten:
                    store.set(KEYS[5], b"%d" % (number + 1))
                assert Call(store.compact).result(BOUND_S) is not STUCK, standing.where
            allowed = {b"%d" % number, b"%d" % (number + 1)} if is_overwritten else {b"0"}
            assert standing.finish() in allowed, standing.where
        assert number > 3


def test_compaction_stopped_at_any_line_loses_no_update(scratch: Path, target: Target) -> None:
    """Wherever a compaction is stopped, reads finish with the right values, and what is written meanwhile stays."""
    with small_store(scratch) as store:

        def write(value: bytes) -> None:
            store.set(KEYS[2], value)
            store.remove(KEYS[3])

        def read() -> list[bytes | None]:
            return [store.get(key) for key in KEYS[4:]]

        stops = 0
        package = str(target.directory / "kvs")
        for standing in at_every_line(store.compact, package, step=7, prepare=lambda: churn(store, b"old")):
            stops += 1
            found = Call(read).result(BOUND_S)
            assert found is not STUCK, f"readers wait for a compaction that stands at {standing.where}"
            assert found == [b"old"] * 6, standing.where
            value = b"%d" % stops
            call = Call(lambda value=value: write(value))  # type: ignore[misc]  # default is bytes
            call.result(0.002)  # here and there it may have to wait for the compaction, a moment
            standing.finish()
            assert call.result() is not STUCK
            assert (store.get(KEYS[2]), store.get(KEYS[3])) == (value, None), standing.where
            now = dict(store)
            store.compact()
            assert dict(store) == now, standing.where
        assert stops > 20
        expected = dict(store)
    with kvs.open(scratch, "lockfree") as store:
        assert dict(store) == expected


@needs_proc
def test_nothing_is_left_of_compactions(scratch: Path) -> None:
    """After any number of compactions as few files are open and mapped, and as few threads run, as after the first."""

    def left() -> tuple[int, int, int]:
        with open("/proc/self/maps") as maps:
            mapped = sum(str(scratch) in line for line in maps)
        return len(os.listdir("/proc/self/fd")), mapped, threading.active_count()

    with small_store(scratch) as store:
        store.compact()
        first = left()
        for _ in range(100):
            churn(store, b"old")
            store.compact()
        now = left()
        assert all(after <= before + 3 for after, before in zip(now, first, strict=True)), f"{first} became {now}"
        files = [name for name in os.listdir(scratch) if name.endswith(".data")]
        assert len(files) <= 4


def test_compactions_come_by_themselves_beside_readers(scratch: Path) -> None:
    """A store that is overwritten for long compacts by itself, while readers read, and stays small."""
    with small_store(scratch, compact_dead_bytes=20_000, segment_bytes=20_000) as store:
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                assert store.get(KEYS[9]) == b"old"

        readers = [Call(read) for _ in range(2)]
        for number in range(6_000):
            store.set(KEYS[number % 5], b"%d" % number + bytes(200))
        stop.set()
        assert all(reader.result() is not STUCK for reader in readers)
        store.compact()
        assert sum(path.stat().st_size for path in scratch.iterdir()) < 100_000
        assert [store[key] for key in KEYS[:5]] == [b"%d" % number + bytes(200) for number in range(5_995, 6_000)]


def test_close_beside_readers(scratch: Path, target: Target) -> None:
    """Wherever a reader is stopped when the store is closed, it returns the value, or StoreClosedError; never else."""
    for line in count():
        store = small_store(scratch / str(line))
        with stopped(lambda store=store: store.get(KEYS[5]), str(target.directory / "kvs"), line) as standing:
            is_end = not standing.stands
            assert Call(store.close).result(BOUND_S) is not STUCK, standing.where
            with suppress(kvs.StoreClosedError):
                assert standing.finish() == b"old", standing.where
        if is_end:
            break
    assert line > 3


# An extension: it gates nothing.


@pytest.mark.extension
def test_scan_goes_on_through_compactions(scratch: Path) -> None:
    """A scan that was begun before a compaction goes on after it, with every key that stays."""
    with small_store(scratch) as store:
        many = {b"many%04d" % number: b"%d" % number for number in range(1_000)}
        store.update(many)
        walk = store.scan(prefix=b"many")
        found = [next(walk)]
        for _ in range(2):
            churn(store, b"old")
            store.compact()
            found.append(next(walk))
        assert dict([*found, *walk]) == many
