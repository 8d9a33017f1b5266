"""The sqlite engine: what its directory looks like, how it is opened, and what is no store of ours."""

import contextlib
import os
import sqlite3
from pathlib import Path

import inside_sqlite
import pytest
from support.directory import contents

from kvs import SqliteEngine, StorageError
from kvs.engines import files


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
        assert inside_sqlite.pairs(store) == {b"k": b"v"}


def test_relative_directory_stays_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was opened by a relative name stays where it is when the program goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    with SqliteEngine.open("store") as store:
        monkeypatch.chdir("/")
        store[b"k"] = b"v"
        store.compact()
        assert store.stats().disk_bytes > 0
    with SqliteEngine.open(tmp_path / "store") as store:
        assert inside_sqlite.pairs(store) == {b"k": b"v"}


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


def test_nothing_but_bytes_is_in_a_store(tmp_path: Path) -> None:
    """What is no key is in no store, also what SQLite would take for one."""
    with SqliteEngine.open(tmp_path) as store:
        store[b"k"] = b"v"
        for other in ("k", bytearray(b"k"), memoryview(b"k"), 5, None, []):
            assert other not in store
