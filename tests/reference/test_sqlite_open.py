"""Opening a sqlite store: the four flags, one owner or many readers, and what an interruption leaves."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inside_sqlite
import pytest
from limits import no_rights
from support.child import start_program
from support.directory import contents, put
from support.target import Target

from kvs import (
    LogEngine,
    SqliteEngine,
    StorageError,
    StoreLockedError,
    StoreMissingError,
    WritesRefusedError,
    WrongEngineError,
)
from kvs.engines import files, opening
from kvs.log.disk import OsDisk

READER = """
import sys
from kvs import SqliteEngine
with SqliteEngine.open(sys.argv[1], flag="r") as store:
    print(len(store), flush=True)
    sys.stdin.read()
"""


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
            assert inside_sqlite.pairs(store) == found
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
        pairs = inside_sqlite.pairs(store)
        whole = contents(tmp_path / "whole") | dict.fromkeys(leftovers, b"left behind")
    whole[leftovers[2]] = whole[files.WAL]
    steps = files.ours(whole)
    assert len(steps) == 7
    for gone in range(len(steps) + 1):
        left = {name: whole[name] for name in steps[gone:]}
        for flag in "cn":
            expected = pairs if files.DATABASE in left and flag == "c" else {}
            with SqliteEngine.open(put(tmp_path / "left", left), flag=flag) as store:
                assert inside_sqlite.pairs(store) == expected
                store[b"new"] = b"1"
            with SqliteEngine.open(tmp_path / "left") as store:
                assert inside_sqlite.pairs(store) == expected | {b"new": b"1"}
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
        assert inside_sqlite.pairs(store) == {}


def test_marker_that_is_lost_is_made_anew(tmp_path: Path) -> None:
    """Without its ENGINE file a store is known by its database; a reader makes nothing, an owner makes it anew."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
    (tmp_path / "ENGINE").unlink()
    with SqliteEngine.open(tmp_path, flag="r") as store:
        assert inside_sqlite.pairs(store) == {b"k": b"v"}
    assert not (tmp_path / "ENGINE").exists()
    with SqliteEngine.open(tmp_path) as store:
        assert inside_sqlite.pairs(store) == {b"k": b"v"}
    assert (tmp_path / "ENGINE").read_bytes() == b"sqlite 1\n"


@pytest.mark.timeout(30)
def test_several_read_or_one_writes(target: Target, tmp_path: Path) -> None:
    """Any number of readers, here and in other processes, and no writer meanwhile; one owner, and no reader."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
    with start_program(target, READER, tmp_path) as one, start_program(target, READER, tmp_path) as two:
        assert (one.read_line(), two.read_line()) == (b"1", b"1")
        with SqliteEngine.open(tmp_path, flag="r") as here, SqliteEngine.open(tmp_path, flag="r") as again:
            assert inside_sqlite.pairs(here) == inside_sqlite.pairs(again) == {b"k": b"v"}
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
        assert inside_sqlite.pairs(store) == {b"k": b"v"}
        assert store.stats().keys == 1
    assert contents(tmp_path) == before


def crashed(path: Path) -> dict[bytes, bytes]:
    """Make a store as a killed owner leaves it, most of its pairs in the WAL alone, and return the pairs."""
    with SqliteEngine.open(path / "made") as store:
        store[b"old"] = b"1"
        store.sync()
        store.update({b"%d" % number: b"value" for number in range(300)})
        left = {name: data for name, data in contents(path / "made").items() if name != "LOCK"}
        pairs = inside_sqlite.pairs(store)
    assert len(left[files.WAL]) > 10_000
    put(path / "left", left)
    return pairs


def test_reader_after_a_crash_reads_all_and_changes_nothing(tmp_path: Path) -> None:
    """Readers see what is in the WAL alone, several at once, and leave every file as it was, the WAL too."""
    pairs = crashed(tmp_path)
    before = contents(tmp_path / "left")
    with SqliteEngine.open(tmp_path / "left", flag="r") as one:
        with SqliteEngine.open(tmp_path / "left", flag="r") as two:
            assert inside_sqlite.pairs(one) == inside_sqlite.pairs(two) == pairs
        assert inside_sqlite.pairs(one) == pairs
    assert contents(tmp_path / "left") == before | {"LOCK": b""}
    with SqliteEngine.open(tmp_path / "left") as store:
        assert inside_sqlite.pairs(store) == pairs


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
        assert inside_sqlite.pairs(store) == pairs
    assert contents(tmp_path / "left") == before


def test_store_made_while_we_waited_for_the_lock_is_not_ours(tmp_path: Path) -> None:
    """What a directory is gets looked up again under the lock: a log made in between is refused, "n" included."""
    for flag in "cnw":
        path = tmp_path / flag
        LogEngine.open(path).close()
        before = contents(path)
        with pytest.raises(WrongEngineError):
            opening.open_database(OsDisk(path), flag, "none")
        assert contents(path) == before
