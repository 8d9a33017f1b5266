"""A sqlite store when the disk is full, the file is damaged, or a call is interrupted."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import inside_sqlite
import pytest
from limits import file_size_limit
from support.directory import contents, flipped

from kvs import SqliteEngine, StorageError, StoreClosedError
from kvs.engines import files


def test_full_disk_changes_nothing(tmp_path: Path) -> None:
    """A write for which there is no room raises, changes nothing, and is taken once there is room again."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        store.update({b"a": b"1", b"b": b"2"})
        limits: list[Callable[[], contextlib.AbstractContextManager[None]]] = [
            lambda: file_size_limit(64 * 1024), lambda: page_limit(store, 8)
        ]  # fmt: skip
        for limit in limits:
            with limit():
                for write in (
                    lambda: store.set(b"a", bytes(200_000)),
                    lambda: store.write([(b"a", b"new"), (b"b", None), (b"c", bytes(200_000))]),
                ):
                    with pytest.raises(StorageError, match=r"kvs.sqlite3: (disk I/O error|database or disk is full)"):
                        write()
                    assert inside_sqlite.pairs(store) == {b"a": b"1", b"b": b"2"}
        store.set(b"c", bytes(200_000))
        assert len(store) == 3


@contextlib.contextmanager
def page_limit(store: SqliteEngine, pages: int) -> Iterator[None]:
    """Let the database grow to so many pages, as on a disk of that size."""
    inside_sqlite.database(store).run(f"PRAGMA max_page_count = {pages}")
    yield
    inside_sqlite.database(store).run("PRAGMA max_page_count = 1073741823")


def test_close_without_room_loses_nothing(tmp_path: Path) -> None:
    """Where the WAL cannot be emptied, close() says so, lets go of the directory, and the next owner finds it all."""
    store = SqliteEngine.open(tmp_path, sync="none")
    pairs = {b"%d" % number: b"v" * 1_000 for number in range(200)}
    for key, value in pairs.items():
        store[key] = value
    with file_size_limit(40 * 1024), pytest.raises(StorageError, match="disk I/O error"):
        store.close()
    store.close()
    with pytest.raises(StoreClosedError):
        store.get(b"1")
    with SqliteEngine.open(tmp_path) as store:
        assert inside_sqlite.pairs(store) == pairs


def test_compaction_without_room_changes_nothing(tmp_path: Path) -> None:
    """A compaction for which there is no room raises, and leaves every pair; later there is room."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        pairs = {b"%d" % number: b"v" * 1_000 for number in range(200)}
        store.update(pairs)
        store.sync()
        with file_size_limit(64 * 1024), pytest.raises(StorageError):
            store.compact()
        assert inside_sqlite.pairs(store) == pairs
        store.compact()
        assert inside_sqlite.pairs(store) == pairs


def test_compaction_gives_back_what_is_dead(tmp_path: Path) -> None:
    """What was removed is dead, as far as whole pages are free; compact() gives it back to the system."""
    with SqliteEngine.open(tmp_path) as store:
        store.update({b"%05d" % number: b"v" * 500 for number in range(4_000)})
        store.write([(b"%05d" % number, None) for number in range(100, 4_000)])
        store.sync()
        before = store.stats()
        assert before.live_bytes == 100 * 505
        assert before.dead_bytes > 1_800_000
        assert before.disk_bytes == sum(map(os.path.getsize, [tmp_path / files.DATABASE, tmp_path / files.WAL]))
        store.compact()
        after = store.stats()
        assert (after.keys, after.live_bytes, after.dead_bytes) == (100, 100 * 505, 0)
        assert after.disk_bytes < 100_000
        assert after.disk_bytes == sum(map(os.path.getsize, [tmp_path / files.DATABASE, tmp_path / files.WAL]))


def read_all(path: Path, flag: str) -> None:
    """Open a store, read every pair, and close it."""
    with SqliteEngine.open(path, flag=flag) as store:
        list(store.scan())


@pytest.mark.parametrize(
    "harm",
    [
        lambda _: b"",
        lambda _: b"text" * 5_000,
        lambda data: data[:5_000],
        lambda data: flipped(data, 3),
        lambda data: data[:4_096] + os.urandom(4_096) + data[8_192:],
    ],
    ids=["empty", "no database", "cut", "header", "root page"],
)
def test_damaged_database_is_told_in_one_line(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    """A file that SQLite cannot read is a StorageError of one line that names it, at the latest when it is read."""
    with SqliteEngine.open(tmp_path) as store:
        store.update({b"%d" % number: b"v" * 100 for number in range(1_000)})
    path = tmp_path / files.DATABASE
    path.write_bytes(harm(path.read_bytes()))
    before = contents(tmp_path)
    for flag in "rw":
        with pytest.raises(StorageError, match=r"kvs\.sqlite3( is damaged)?: [^\n]+\Z") as caught:
            read_all(tmp_path, flag)
        assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert contents(tmp_path) == before
    with SqliteEngine.open(tmp_path, flag="n") as store:  # what failed has let go of the directory
        assert len(store) == 0


def test_other_program_in_the_file_is_told(tmp_path: Path) -> None:
    """Another SQLite program that holds the file is told of; and while the store is open, it is kept out."""
    SqliteEngine.open(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / files.DATABASE)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = time.monotonic()
        with pytest.raises(StorageError, match=r"kvs\.sqlite3: database is locked"):
            SqliteEngine.open(tmp_path)
        assert time.monotonic() - before < 4, "SQLite waits for 5 s unless it is told not to"
        other.execute("ROLLBACK")
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
        other = sqlite3.connect(tmp_path / files.DATABASE, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT * FROM pairs")
        other.close()


def test_interrupted_batch_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a batch undoes it, and the next one is not in its way."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"

        def steps() -> Iterator[tuple[bytes, bytes]]:
            yield b"k", b"half"
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            inside_sqlite.database(store).write(steps(), [])
        assert inside_sqlite.pairs(store) == {b"k": b"v"}
        store.write([(b"k", b"whole")])
        assert inside_sqlite.pairs(store) == {b"k": b"whole"}
