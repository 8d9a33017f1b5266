"""The sqlite engine: what its directory looks like, and what it does when the file, the disk or the process fails."""

import contextlib
import gc
import os
import select
import signal
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from limits import file_size_limit, no_rights
from support.child import start_program
from support.directory import contents, flipped, put
from support.target import Target

from kvs import SqliteEngine, StorageError, StoreClosedError, StoreLockedError, StoreMissingError, WritesRefusedError
from kvs.engines import database, files
from kvs.engines.database import PAGE_ROWS, Database
from kvs.log.options import SyncMode

DEADLINE_S = 15
MODES: list[SyncMode] = ["always", "interval", "none"]
LINUX_ONLY = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")

READER = """
import sys
from kvs import SqliteEngine
with SqliteEngine.open(sys.argv[1], flag="r") as store:
    print(len(store), flush=True)
    sys.stdin.read()
"""
WRITER = """
import sys
from kvs import SqliteEngine
store = SqliteEngine.open(sys.argv[1], sync=sys.argv[2])
for number in range(10_000_000):
    store.write([(b"a%d" % number, b"v" * 50), (b"b%d" % number, b"v" * 50)])
    print(number, flush=True)
"""
FORKED = """
import os, sys
from kvs import SqliteEngine
store = SqliteEngine.open(sys.argv[1], sync="none")
store.set(b"before", b"1")
child = os.fork()
if child == 0:
    sys.exit(0)  # a whole goodbye, which takes every object with it
os.waitpid(child, 0)
store.set(b"after", b"2")
print("written", flush=True)
sys.stdin.read()
"""


def pairs_of(store: SqliteEngine) -> dict[bytes, bytes]:
    """Return everything in a store by one walk."""
    return dict(store.scan())


def inside(store: SqliteEngine) -> Database:
    """Return the open store's database."""
    assert store._database is not None
    return store._database


@contextlib.contextmanager
def failing_fsync(path: Path) -> Iterator[None]:
    """Let every fsync of an open file fail: put /dev/null, which takes writes and no fsync, under its descriptors."""
    null = os.open("/dev/null", os.O_RDWR)
    links = [(int(name), f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    mine = [fd for fd, link in links if os.path.lexists(link) and os.readlink(link) == str(path)]
    assert mine, f"nobody has {path} open"
    saved = [(fd, os.dup(fd)) for fd in mine]
    try:
        for fd in mine:
            os.dup2(null, fd)
        yield
    finally:
        for fd, copy in saved:
            os.dup2(copy, fd)
            os.close(copy)
        os.close(null)


# What is on the disk.


def test_directory_after_a_clean_close(tmp_path: Path) -> None:
    """A closed store is a marker, a lock and one database, readable for nobody else."""
    with SqliteEngine.open(tmp_path / "store") as store:
        store[b"k"] = b"v"
        assert oct(os.stat(tmp_path / "store" / files.WAL).st_mode & 0o777) == "0o600"
    assert sorted(os.listdir(tmp_path / "store")) == ["ENGINE", "LOCK", "kvs.sqlite3"]
    assert (tmp_path / "store/ENGINE").read_bytes() == b"sqlite 1\n"
    for name in ("ENGINE", "LOCK", "kvs.sqlite3"):
        assert oct(os.stat(tmp_path / "store" / name).st_mode & 0o777) == "0o600"


def test_layout_is_frozen(tmp_path: Path) -> None:
    """A closed store is a plain SQLite file: any tool reads the table, which lies in key order and says whose it is."""
    with SqliteEngine.open(tmp_path) as store:
        store.update({b"\xff": b"2", b"": b"", b"a\0": b"1"})
    with contextlib.closing(sqlite3.connect(tmp_path / "kvs.sqlite3")) as plain:
        assert plain.execute("SELECT * FROM pairs").fetchall() == [(b"", b""), (b"a\0", b"1"), (b"\xff", b"2")]
        assert plain.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"kvs1"),)
        [sql] = plain.execute("SELECT sql FROM sqlite_master").fetchone()
        assert sql == "CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"


@pytest.mark.parametrize("name", ["a b", "q?mode=memory", "f#g", "100%", "%41", "'q\"", "é", b"\xff\xfe", "-x"])
def test_any_directory_name_will_do(tmp_path: Path, name: str | bytes) -> None:
    """The directory may be called anything, also what means something in a URI."""
    path = os.path.join(tmp_path, os.fsdecode(name))
    with SqliteEngine.open(path) as store:
        store[b"k"] = b"v"
    assert os.path.isfile(os.path.join(path, "kvs.sqlite3"))
    with SqliteEngine.open(path, flag="r") as store:
        assert pairs_of(store) == {b"k": b"v"}


def test_relative_directory_stays_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was opened by a relative name stays where it is when the program goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    with SqliteEngine.open("store") as store:
        monkeypatch.chdir("/")
        store[b"k"] = b"v"
        store.compact()
        assert store.stats().disk_bytes > 0
    with SqliteEngine.open(tmp_path / "store") as store:
        assert pairs_of(store) == {b"k": b"v"}


def test_directory_may_begin_with_two_slashes(tmp_path: Path) -> None:
    """A path that begins with two slashes, as joining may make it, names the same directory as with one."""
    SqliteEngine.open(f"/{tmp_path}").close()
    assert (tmp_path / "kvs.sqlite3").exists()


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """Files that are not the store's stay as they are, also when everything that is ours is erased."""
    foreign = {"notes.txt": b"mine", "kvs.sqlite": b"mine", "kvs.sqlite3.bak": b"mine", "sub/kvs.sqlite3": b"mine"}
    (tmp_path / "sub").mkdir()
    for name, data in foreign.items():
        (tmp_path / name).write_bytes(data)
    for flag in "cnwn":
        with SqliteEngine.open(tmp_path, flag=flag) as store:
            store[b"k"] = b"v"
            store.compact()
        assert {name: (tmp_path / name).read_bytes() for name in foreign} == foreign


def test_file_of_that_name_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    """A kvs.sqlite3 that no ENGINE file vouches for, and that does not say it is ours, is refused and left alone."""
    with contextlib.closing(sqlite3.connect(tmp_path / "kvs.sqlite3")) as plain:
        plain.execute("CREATE TABLE pairs (key, value)")
    other = (tmp_path / "kvs.sqlite3").read_bytes()
    for data in (other, b"", b"text"):
        (tmp_path / "kvs.sqlite3").write_bytes(data)
        for flag in "rwcn":
            with pytest.raises(StorageError, match=r"is no database of kvs's, and is left alone"):
                SqliteEngine.open(tmp_path, flag=flag)
        assert contents(tmp_path) == {"kvs.sqlite3": data}


# Opening.


@pytest.mark.parametrize("flag", ["r", "w"])
def test_r_and_w_make_nothing(tmp_path: Path, flag: str) -> None:
    """Flags "r" and "w" raise StoreMissingError where there is no store, and make none."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        with pytest.raises(StoreMissingError):
            SqliteEngine.open(tmp_path / name, flag=flag)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["empty"]


def test_flags_make_keep_and_erase(tmp_path: Path) -> None:
    """Flag "c" makes what is missing, with the directories above; "c" and "w" keep what is there, "n" does not."""
    path = tmp_path / "a" / "b"
    for flag, found in [("c", {}), ("c", {b"k": b"c"}), ("w", {b"k": b"c"}), ("n", {}), ("n", {}), ("c", {b"k": b"n"})]:
        with SqliteEngine.open(path, flag=flag) as store:
            assert pairs_of(store) == found
            store[b"k"] = flag.encode()


@pytest.mark.parametrize("option", [{"flag": "x"}, {"flag": "rw"}, {"sync": "often"}, {"sync_interval_s": 0}], ids=str)
def test_option_out_of_range_is_refused(tmp_path: Path, option: dict[str, Any]) -> None:
    """An option outside its range is a ValueError that names it; nothing is made."""
    [name] = option
    with pytest.raises(ValueError, match=name):
        SqliteEngine.open(tmp_path / "store", **option)
    assert not (tmp_path / "store").exists()


def test_making_may_be_interrupted_anywhere(tmp_path: Path) -> None:
    """What is left of a making or an erasing that was cut short is the store as it was, or makes way for a new one."""
    leftovers = [files.TEMPORARY, f"{files.TEMPORARY}-journal", f"{files.TEMPORARY}-wal", "ENGINE.tmp"]
    with SqliteEngine.open(tmp_path / "whole") as store:
        store.update({b"%d" % number: b"old" for number in range(500)})
        store.sync()
        store.update({b"%d" % number: b"new" for number in range(500)})
        pairs = pairs_of(store)
        whole = contents(tmp_path / "whole") | dict.fromkeys(leftovers, b"left behind")
    whole[leftovers[2]] = whole[files.WAL]
    steps = files.ours(whole)
    assert len(steps) == 7
    for gone in range(len(steps) + 1):
        left = {name: whole[name] for name in steps[gone:]}
        for flag in "cn":
            expected = pairs if files.DATABASE in left and flag == "c" else {}
            with SqliteEngine.open(put(tmp_path / "left", left), flag=flag) as store:
                assert pairs_of(store) == expected
                store[b"new"] = b"1"
            with SqliteEngine.open(tmp_path / "left") as store:
                assert pairs_of(store) == expected | {b"new": b"1"}
    assert sorted(os.listdir(tmp_path / "left")) == ["ENGINE", "LOCK", "kvs.sqlite3"]


def test_database_that_is_gone_is_told(tmp_path: Path) -> None:
    """An ENGINE file without the database means that the pairs are lost; no flag but "n" puts an empty store there."""
    SqliteEngine.open(tmp_path).close()
    (tmp_path / "kvs.sqlite3").unlink()
    before = contents(tmp_path)
    for flag in "rwc":
        with pytest.raises(StorageError, match=r"kvs.sqlite3 is missing"):
            SqliteEngine.open(tmp_path, flag=flag)
    assert contents(tmp_path) == before
    with SqliteEngine.open(tmp_path, flag="n") as store:
        assert pairs_of(store) == {}


def test_marker_that_is_lost_is_made_anew(tmp_path: Path) -> None:
    """Without its ENGINE file a store is known by its database; a reader makes nothing, an owner makes it anew."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
    (tmp_path / "ENGINE").unlink()
    with SqliteEngine.open(tmp_path, flag="r") as store:
        assert pairs_of(store) == {b"k": b"v"}
    assert not (tmp_path / "ENGINE").exists()
    with SqliteEngine.open(tmp_path) as store:
        assert pairs_of(store) == {b"k": b"v"}
    assert (tmp_path / "ENGINE").read_bytes() == b"sqlite 1\n"


@pytest.mark.timeout(30)
def test_several_read_or_one_writes(target: Target, tmp_path: Path) -> None:
    """Any number of readers, here and in other processes, and no writer meanwhile; one owner, and no reader."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
    with start_program(target, READER, tmp_path) as one, start_program(target, READER, tmp_path) as two:
        assert (one.read_line(), two.read_line()) == (b"1", b"1")
        with SqliteEngine.open(tmp_path, flag="r") as here, SqliteEngine.open(tmp_path, flag="r") as again:
            assert pairs_of(here) == pairs_of(again) == {b"k": b"v"}
        for flag in "wcn":
            with pytest.raises(StoreLockedError):
                SqliteEngine.open(tmp_path, flag=flag)
    with SqliteEngine.open(tmp_path):
        for flag in "rwcn":
            with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()}"):
                SqliteEngine.open(tmp_path, flag=flag)


def test_reader_refuses_to_write(tmp_path: Path) -> None:
    """Every write through a reader raises WritesRefusedError, also a removal of nothing; sync() is no write."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
    before = contents(tmp_path)
    with SqliteEngine.open(tmp_path, flag="r") as store:
        calls: list[Callable[[], object]] = [
            lambda: store.set(b"k", b""), lambda: store.remove(b"k"), lambda: store.remove(b"none"),
            lambda: store.write([(b"k", b"")]), lambda: store.write([]), store.compact, store.clear,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(WritesRefusedError, match="takes no writes: it was opened to read only"):
                call()
        store.sync()
        assert pairs_of(store) == {b"k": b"v"}
        assert store.stats().keys == 1
    assert contents(tmp_path) == before


def crashed(path: Path) -> dict[bytes, bytes]:
    """Make a store as a killed owner leaves it, most of its pairs in the WAL alone, and return the pairs."""
    with SqliteEngine.open(path / "made") as store:
        store[b"old"] = b"1"
        store.sync()
        store.update({b"%d" % number: b"value" for number in range(300)})
        left = {name: data for name, data in contents(path / "made").items() if name != "LOCK"}
        pairs = pairs_of(store)
    assert len(left[files.WAL]) > 10_000
    put(path / "left", left)
    return pairs


def test_reader_after_a_crash_reads_all_and_changes_nothing(tmp_path: Path) -> None:
    """Readers see what is in the WAL alone, several at once, and leave every file as it was, the WAL too."""
    pairs = crashed(tmp_path)
    before = contents(tmp_path / "left")
    with SqliteEngine.open(tmp_path / "left", flag="r") as one:
        with SqliteEngine.open(tmp_path / "left", flag="r") as two:
            assert pairs_of(one) == pairs_of(two) == pairs
        assert pairs_of(one) == pairs
    assert contents(tmp_path / "left") == before | {"LOCK": b""}
    with SqliteEngine.open(tmp_path / "left") as store:
        assert pairs_of(store) == pairs


@pytest.mark.parametrize("is_crashed", [False, True])
def test_reader_needs_no_right_to_write(tmp_path: Path, is_crashed: bool) -> None:
    """Who may read the directory and not write it reads the store, after a clean close and after a crash."""
    pairs = crashed(tmp_path)
    if not is_crashed:
        SqliteEngine.open(tmp_path / "left").close()
    (tmp_path / "left" / "LOCK").unlink(missing_ok=True)
    for path in (tmp_path / "left").iterdir():
        path.chmod(0o444)
    before = contents(tmp_path / "left")
    with no_rights(tmp_path / "left"), SqliteEngine.open(tmp_path / "left", flag="r") as store:
        assert pairs_of(store) == pairs
    assert contents(tmp_path / "left") == before


# Durability.


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sync", MODES)
def test_killed_owner_loses_nothing_acknowledged(target: Target, tmp_path: Path, sync: str) -> None:
    """After kill -9 every acknowledged batch is there, whole, and the next owner needs no help."""
    least = 0
    for cycle in range(3):
        with start_program(target, WRITER, tmp_path / f"{cycle}", sync) as writer:
            for _ in range(50 + 150 * cycle):
                least = int(writer.read_line() or 0)
            writer.kill()
        with SqliteEngine.open(tmp_path / f"{cycle}") as store:
            found = pairs_of(store)
        count = len(found) // 2
        assert count > least
        assert found == {b"%b%d" % (name, number): b"v" * 50 for number in range(count) for name in (b"a", b"b")}


def test_cut_wal_is_a_prefix_of_history(tmp_path: Path) -> None:
    """Wherever a power failure cuts the WAL, the store opens, with a state that it once had."""
    states = [dict[bytes, bytes]()]
    with SqliteEngine.open(tmp_path / "whole", sync="none") as store:
        for number in range(12):
            store.write([(b"a", b"%d" % number), (b"k%d" % number, b"x" * 100), (b"k%d" % (number - 3), None)])
            states.append(pairs_of(store))
        whole = contents(tmp_path / "whole")
    seen = set()
    for size in range(0, len(whole[files.WAL]) + 1, 1_500):
        left = whole | {files.WAL: whole[files.WAL][:size]}
        for flag in "rc":
            with SqliteEngine.open(put(tmp_path / "left", left), flag=flag) as store:
                seen.add(states.index(pairs_of(store)))
    assert seen >= {0, 5, 11}


@LINUX_ONLY
def test_always_syncs_before_it_acknowledges(tmp_path: Path) -> None:
    """In mode "always" a write whose fsync fails raises, is not seen, and is the last one taken; reads go on."""
    for number, write in enumerate(
        [lambda s: s.set(b"k", b"new"), lambda s: s.remove(b"k"), lambda s: s.write([(b"k", b""), (b"l", b"")])]
    ):
        path = tmp_path / f"{number}"
        with SqliteEngine.open(path) as store:
            store[b"k"] = b"v"
        store = SqliteEngine.open(path, sync="always")
        store[b"j"] = b"1"
        with failing_fsync(path / files.WAL), pytest.raises(StorageError, match="disk I/O error"):
            write(store)
        for again in (write, lambda s: s.set(b"m", b""), lambda s: s.sync(), lambda s: s.compact()):
            with pytest.raises(WritesRefusedError, match="an fsync failed, and nobody knows what is durable"):
                again(store)
        assert pairs_of(store) == {b"j": b"1", b"k": b"v"}
        store.close()
        with SqliteEngine.open(path) as store:
            assert pairs_of(store)[b"j"] == b"1"
            store[b"k"] = b"taken again"


@LINUX_ONLY
@pytest.mark.parametrize("sync", ["interval", "none"])
def test_other_modes_sync_when_asked(tmp_path: Path, sync: SyncMode) -> None:
    """In the other modes a write waits for no fsync; sync() does, and tells when it fails."""
    with SqliteEngine.open(tmp_path, sync=sync, sync_interval_s=1_000) as store:
        store[b"first"] = b""
        with failing_fsync(tmp_path / files.WAL):
            store[b"k"] = b"v"
            with pytest.raises(StorageError, match="disk I/O error"):
                store.sync()
            with pytest.raises(WritesRefusedError):
                store[b"k"] = b"w"
            with pytest.raises(WritesRefusedError):
                store.sync()


def test_interval_syncs_by_itself(tmp_path: Path) -> None:
    """In mode "interval" a write reaches the database file, durably, with nobody asking; the thread ends at close()."""
    before = threading.active_count()
    store = SqliteEngine.open(tmp_path, sync_interval_s=0.01)
    assert threading.active_count() == before, "a store that is only read needs no thread"
    until = time.monotonic() + DEADLINE_S
    for value in (b"first value", b"other value"):
        store[b"k"] = value
        while value not in (tmp_path / files.DATABASE).read_bytes():
            assert time.monotonic() < until
            time.sleep(0.005)
    assert threading.active_count() == before + 1
    store.close()
    assert threading.active_count() == before


@LINUX_ONLY
def test_failed_sync_of_the_interval_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A sync of the interval that fails is logged once, and writes are refused from then on; reads go on."""
    with SqliteEngine.open(tmp_path, sync_interval_s=1_000) as store:
        store[b"k"] = b"v"
        with failing_fsync(tmp_path / files.WAL):
            for _ in range(3):
                store._sync_now_and_then()
            with pytest.raises(WritesRefusedError):
                store[b"k"] = b"w"
            assert store[b"k"] == b"v"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "is not durable" in caplog.text


# When the disk or the file is at fault.


def test_nothing_but_bytes_is_in_a_store(tmp_path: Path) -> None:
    """What is no key is in no store, also what SQLite would take for one."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
        for other in ("k", bytearray(b"k"), memoryview(b"k"), 5, None, []):
            assert other not in store


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
                    assert pairs_of(store) == {b"a": b"1", b"b": b"2"}
        store.set(b"c", bytes(200_000))
        assert len(store) == 3


@contextlib.contextmanager
def page_limit(store: SqliteEngine, pages: int) -> Iterator[None]:
    """Let the database grow to so many pages, as on a disk of that size."""
    inside(store).run(f"PRAGMA max_page_count = {pages}")
    yield
    inside(store).run("PRAGMA max_page_count = 1073741823")


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
        assert pairs_of(store) == pairs


def test_compaction_without_room_changes_nothing(tmp_path: Path) -> None:
    """A compaction for which there is no room raises, and leaves every pair; later there is room."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        pairs = {b"%d" % number: b"v" * 1_000 for number in range(200)}
        store.update(pairs)
        store.sync()
        with file_size_limit(64 * 1024), pytest.raises(StorageError):
            store.compact()
        assert pairs_of(store) == pairs
        store.compact()
        assert pairs_of(store) == pairs


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


def test_other_program_in_the_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another SQLite program that holds the file is told of; and while the store is open, it is kept out."""
    SqliteEngine.open(tmp_path).close()
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kw: real(*args, **kw, timeout=0.05))  # or it takes 5 s
    with contextlib.closing(sqlite3.connect(tmp_path / files.DATABASE)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"kvs\.sqlite3: database is locked"):
            SqliteEngine.open(tmp_path)
        other.execute("ROLLBACK")
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
        other = sqlite3.connect(tmp_path / files.DATABASE)
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
            inside(store).write(steps(), [])
        assert pairs_of(store) == {b"k": b"v"}
        store.write([(b"k", b"whole")])
        assert pairs_of(store) == {b"k": b"whole"}


# Forks, and stores that are forgotten.


@pytest.mark.timeout(30)
def test_child_that_ends_takes_nothing_with_it(target: Target, tmp_path: Path) -> None:
    """A forked child that ends as programs do leaves the parent's WAL alone: the parent's later writes survive it."""
    with start_program(target, FORKED, tmp_path) as parent:
        assert parent.read_line() == b"written"
        parent.kill()
    with SqliteEngine.open(tmp_path) as store:
        assert pairs_of(store) == {b"before": b"1", b"after": b"2"}


@pytest.mark.timeout(30)
def test_child_does_nothing_and_says_why(tmp_path: Path) -> None:
    """In a forked child every call is refused with the reason, close() is quiet, and nothing waits for a lock."""
    store = SqliteEngine.open(tmp_path, sync="none")
    store[b"k"] = b"v"
    steps = store.scan()

    def attempt() -> list[str]:
        said = []
        calls: list[Callable[[], object]] = [
            lambda: store.get(b"k"), lambda: b"k" in store, lambda: len(store), lambda: next(steps), store.stats,
            store.sync, lambda: store.set(b"k", b"child"), lambda: store.write([]), store.compact, store.clear,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StorageError, match="this process is a fork of the one that opened it") as caught:
                call()
            said.append(type(caught.value).__name__)
        with pytest.raises(StoreLockedError):
            SqliteEngine.open(tmp_path)
        store.close()
        return said

    with store._lock:
        answer = in_child(attempt)
    assert answer == repr(["StorageError"] * 6 + ["WritesRefusedError"] * 4)
    store[b"l"] = b"w"
    store.close()
    with SqliteEngine.open(tmp_path) as store:
        assert pairs_of(store) == {b"k": b"v", b"l": b"w"}


def in_child(work: Callable[[], object]) -> str:
    """Fork, do the work in the child, and return what it came to."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "nothing"
        try:
            answer = repr(work())
        except BaseException as error:  # noqa: BLE001  # the parent tells
            answer = repr(error)
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    try:
        ready, _, _ = select.select([read_end], [], [], DEADLINE_S)
        assert ready, "the child hangs"
        return os.read(read_end, 1 << 16).decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("sync", MODES)
def test_forgotten_store_lets_go(tmp_path: Path, sync: SyncMode) -> None:
    """A store that is dropped without close() gives up its directory at once, and its thread; nothing is lost."""
    gc.disable()
    try:
        store = SqliteEngine.open(tmp_path, sync=sync, sync_interval_s=0.01)
        store[b"k"] = b"v"
        tickers = [thread for thread in threading.enumerate() if thread.name == "kvs-ticker"]
        assert len(tickers) == (sync == "interval")
        del store
        for ticker in tickers:
            ticker.join(10)
            assert not ticker.is_alive()
        with SqliteEngine.open(tmp_path) as store:
            assert pairs_of(store) == {b"k": b"v"}
    finally:
        gc.enable()


def test_failed_open_lets_go_of_the_directory(tmp_path: Path) -> None:
    """A store that could not be made or opened is locked by nobody afterwards."""
    (tmp_path / "ENGINE.tmp").mkdir()
    for flag in "cn":
        with pytest.raises(StorageError):
            SqliteEngine.open(tmp_path, flag=flag)
    (tmp_path / "ENGINE.tmp").rmdir()
    with SqliteEngine.open(tmp_path) as store:
        assert repr(store) == f"<SqliteEngine {str(tmp_path)!r}, open>"
    assert repr(store) == f"<SqliteEngine {str(tmp_path)!r}, closed>"


# Scans.


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
        assert len(store._scans) == 3
        list(ended)
        del dropped, ended
        next(walk)
        [scan] = store._scans
        store.update({b"00299x": b"", b"00400x": b"", b"00650x": b"", b"00700x": b"", b"00650": b""})
        assert scan._newcomers == {b"00650x"}
        del walk, scan
        assert len(store._scans) == 0


def test_page_ends_with_many_bytes(tmp_path: Path) -> None:
    """Large values make short pages, so that one page of a scan never takes what 256 of the largest would."""
    with SqliteEngine.open(tmp_path, sync="none") as store:
        store.update({b"%d" % number: bytes(400_000) for number in range(8)})
        rows, is_last = inside(store).page("SELECT key, value FROM pairs WHERE key >= ? AND key < ?", b"", b"\xff")
        assert len(rows) == -(-database.PAGE_BYTES // 400_001)
        assert not is_last
        assert len(list(store.scan())) == 8
