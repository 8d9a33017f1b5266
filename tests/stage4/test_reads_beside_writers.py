"""Task 4.3: a read waits for nobody. A writer is stopped, in the system or at any line, and reads finish."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from designs import BOUND_S, KEYS, small_store
from support.frozen import FSYNCS, STUCK, Call, beside, freeze
from support.stepper import Stopped, at_every_line
from support.target import Target

import kvs

pytestmark = pytest.mark.task("4.3")

SAME, OTHER = KEYS[3], KEYS[4]


def reads(store: kvs.Engine) -> dict[str, Callable[[], Any]]:
    """Return ways to read, the first half of the key that is being written."""
    return {
        "get of the same key": lambda: [store.get(SAME) for _ in range(200)][-1],
        "in, for the same key": lambda: SAME in store,
        "get of another key": lambda: [store.get(OTHER) for _ in range(200)][-1],
        "[] of another key": lambda: store[OTHER],
        "get of a missing key": lambda: store.get(b"missing"),
        "len": lambda: len(store),
        "iteration": lambda: set(store),
    }


def results_beside(frozen: Callable[[], Any], store: kvs.Engine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the reads came to while a call was held up in its fsync."""
    gate = freeze(monkeypatch, FSYNCS)
    ways = reads(store)
    return dict(zip(ways, beside(gate, frozen, [*ways.values(), *ways.values()], BOUND_S), strict=False))


@pytest.mark.parametrize("deed", ["set", "remove", "new key"])
def test_writer_frozen_in_fsync_stops_no_reader(scratch: Path, monkeypatch: pytest.MonkeyPatch, deed: str) -> None:
    """While a writer hangs in its fsync, in mode "always", all reads finish: of other keys and of the same key."""
    with small_store(scratch, sync="always", segment_bytes=100_000) as store:
        write = {
            "set": lambda: store.set(SAME, b"new"),
            "remove": lambda: store.remove(SAME),
            "new key": lambda: store.set(b"new key", b"new"),
        }[deed]
        found = results_beside(write, store, monkeypatch)
        assert STUCK not in found.values(), found
        assert found["get of the same key"] in {b"old", {"set": b"new"}.get(deed)}
        assert found["get of another key"] == found["[] of another key"] == b"old"
        assert found["get of a missing key"] is None
        assert set(KEYS) - {SAME} <= found["iteration"] <= {*KEYS, b"new key"}
        assert store.get(SAME) == {"set": b"new", "remove": None}.get(deed, b"old")


@pytest.mark.parametrize("deed", ["sync", "rotation"])
def test_sync_frozen_in_fsync_stops_no_reader(scratch: Path, monkeypatch: pytest.MonkeyPatch, deed: str) -> None:
    """While sync(), or the change to the next segment, hangs in its fsync, all reads finish."""
    with small_store(scratch) as store:
        store.set(SAME, b"last")

        def fill() -> None:
            for _ in range(30):
                store.set(b"filler", bytes(100))

        found = results_beside(store.sync if deed == "sync" else fill, store, monkeypatch)
        assert STUCK not in found.values(), found
        assert (found["get of the same key"], found["in, for the same key"]) == (b"last", True)
        assert found["get of another key"] == b"old"


@pytest.mark.parametrize("deed", ["set", "remove"])
def test_writer_stopped_at_any_line_stops_no_reader(scratch: Path, target: Target, deed: str) -> None:
    """Wherever in the store a writer is stopped, a read of its key finishes, with the old value or the new one.

    Once the new one was read, and always after the write has returned, the new one it stays.
    """
    with small_store(scratch, segment_bytes=100_000) as store:
        number, stops = 0, 0

        def write() -> None:
            nonlocal number
            number += 1
            store.set(SAME, b"%d" % number)
            if deed == "remove":
                store.remove(SAME)

        for standing in at_every_line(write, str(target.directory / "kvs")):
            stops += 1
            call = Call(lambda: [store.get(SAME), store.get(OTHER), SAME in store, store.get(SAME)])
            found = call.result(BOUND_S)
            assert found is not STUCK, f"a reader waits for a writer that stands at {standing.where}"
            before = b"%d" % (number - 1) if number > 1 and deed == "set" else b"old" if number == 1 else None
            order = [before, b"%d" % number, *([None] if deed == "remove" else [])]
            assert found[1] == b"old"
            assert found[0] in order, standing.where
            assert found[3] in order[order.index(found[0]) :], standing.where
            standing.finish()
            assert store.get(SAME) == order[-1]
        assert stops > 5


def test_reader_stopped_at_any_line_returns_a_value_of_its_time(scratch: Path, target: Target) -> None:
    """Wherever a reader is stopped while its key is set, and set again, it returns one of the three values."""
    with small_store(scratch, segment_bytes=100_000) as store:
        store.set(SAME, b"0")
        for number, standing in enumerate(at_every_line(lambda: store.get(SAME), str(target.directory / "kvs"))):
            values = [b"%d" % version for version in range(2 * number, 2 * number + 3)]
            for value in values[1:]:
                assert Call(lambda value=value: store.set(SAME, value)).result(BOUND_S) is not STUCK  # type: ignore[misc]  # default is bytes
            assert standing.finish() in values
        assert number > 3


# An extension: it gates nothing.


def seen_beside(store: kvs.Engine, standing: Stopped, keys: list[bytes]) -> list[Any]:
    """Return what reads of these keys, one after the other, give beside a stopped writer."""
    found = Call(lambda: [store.get(key) for key in keys]).result(BOUND_S)
    assert found is not STUCK, f"a reader waits for a writer that stands at {standing.where}"
    return found


@pytest.mark.extension
def test_batch_is_seen_whole_wherever_its_writer_is_stopped(scratch: Path, target: Target) -> None:
    """A batch of three keys, one of them removed, appears at one instant: never is a new one read, then an old."""
    with small_store(scratch, segment_bytes=100_000) as store:
        package = str(target.directory / "kvs")
        old: list[bytes | None] = [b"old", b"old", None]
        three, number = [b"a", b"b", b"c"], 0
        store.write([(b"a", b"old"), (b"b", b"old")])

        def write() -> None:
            nonlocal number
            number += 1
            store.write(zip(three, news(), strict=True))

        def news() -> list[bytes | None]:
            return [b"%d" % number, None, b"c"] if number % 2 else [b"%d" % number, b"b", None]

        for standing in at_every_line(write, package):
            for order in ([0, 1, 2, 0], [2, 1, 0, 2], [1, 0, 2, 1]):
                found = seen_beside(store, standing, [three[index] for index in order])
                is_new = [value == news()[index] for value, index in zip(found, order, strict=True)]
                is_old = [value == old[index] for value, index in zip(found, order, strict=True)]
                cut = is_new.index(True) if True in is_new else len(order)
                assert all(is_old[:cut]), standing.where
                assert all(is_new[cut:]), standing.where
            standing.finish()
            old = news()
            assert seen_beside(store, standing, three) == old
