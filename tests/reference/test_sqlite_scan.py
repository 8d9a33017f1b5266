"""Scans of a sqlite store: by the page, and yet of one beginning."""

import tracemalloc
from pathlib import Path
from typing import Any

import inside_sqlite

from kvs import SqliteEngine
from kvs.engines import database
from kvs.engines.database import PAGE_ROWS


def test_scan_takes_the_memory_of_a_page(tmp_path: Path) -> None:
    """A walk over much more than a page, with values or without, never holds more than a few pages."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        for start in range(0, 8_000, 1_000):
            store.update({b"%06d" % number: bytes(2_000) for number in range(start, start + 1_000)})
        store[b"huge"] = store[b"huger"] = bytes(3_000_000)
        tracemalloc.start()
        for walk in (store.scan, lambda: iter(store), lambda: store.scan(reverse=True)):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            assert sum(1 for _ in walk()) == 8_002
            assert tracemalloc.get_traced_memory()[1] - before < 9_000_000
        tracemalloc.stop()


def test_key_that_comes_back_is_new(tmp_path: Path) -> None:
    """A key that is removed and set again while a walk is before it is left out: it is another one."""
    with SqliteEngine.open(tmp_path) as store:
        store.update({b"%04d" % number: b"old" for number in range(2 * PAGE_ROWS)})
        walk, back = store.scan(), store.scan(reverse=True)
        next(walk), next(back)
        for key in (b"0001", b"0400", b"0100"):
            store.remove(key)
            store.set(key, b"new")
        assert len(list(walk)) == 2 * PAGE_ROWS - 1 - 1, "0400 was not reached yet"
        assert len(list(back)) == 2 * PAGE_ROWS - 1 - 2, "nor were 0100 and 0001"


def test_scan_among_writers_shows_what_it_must(tmp_path: Path, rng: Any) -> None:
    """Whatever is set and removed between its steps, a walk shows each key that stayed, none that came, in order."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        for _ in range(12):
            store.clear()
            names = [b"%05d" % number for number in range(3_000)]
            store.update(dict.fromkeys(rng.sample(names, 1_500), b"old"))
            at_start = set(store)
            reverse = rng.random() < 0.5
            low, high = sorted(rng.sample(names, 2))
            walk = store.scan(low, high, reverse=reverse)
            removed, seen = set(), []
            for key, value in walk:
                seen.append(key)
                assert value in {b"old", b"new"}
                batch = [(name, b"new" if rng.random() < 0.6 else None) for name in rng.sample(names, 3)]
                removed |= {name for name, new in batch if new is None}
                store.write(batch) if rng.random() < 0.5 else [store.write([step]) for step in batch]
            assert seen == sorted(seen, reverse=reverse)
            assert set(seen) <= at_start
            assert {key for key in at_start - removed if low <= key < high} <= set(seen)


def test_walks_that_are_over_or_dropped_cost_nothing(tmp_path: Path) -> None:
    """Writers note what is new for walks under way alone, and only what lies before them."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        store.update({b"%05d" % number: b"" for number in range(3 * PAGE_ROWS)})
        dropped, ended, walk = store.scan(), store.scan(), store.scan(b"00300", b"00700")
        assert len(inside_sqlite.scans(store)) == 3
        list(ended)
        del dropped, ended
        next(walk)
        [scan] = inside_sqlite.scans(store)
        store.update({b"00299x": b"", b"00400x": b"", b"00650x": b"", b"00700x": b"", b"00650": b""})
        assert scan._newcomers == {b"00650x"}
        del walk, scan
        assert len(inside_sqlite.scans(store)) == 0


def test_page_ends_with_many_bytes(tmp_path: Path) -> None:
    """Large values make short pages, so that one page of a scan never takes what 256 of the largest would."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        store.update({b"%d" % number: bytes(400_000) for number in range(8)})
        rows, is_last = inside_sqlite.database(store).page(
            "SELECT key, value FROM pairs WHERE key >= ? AND key < ?", b"", b"\xff"
        )
        assert len(rows) == -(-database.PAGE_BYTES // 400_001)
        assert not is_last
        assert len(list(store.scan())) == 8
