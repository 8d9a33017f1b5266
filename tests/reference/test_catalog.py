"""The catalog: which engine a directory belongs to, and pools by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Cli
from support.directory import contents
from support.target import ROOT

import kvs
from kvs import (
    CorruptRecordError,
    LockFreeEngine,
    LogEngine,
    SqliteEngine,
    StorageError,
    StoreMissingError,
    UnsupportedFormatError,
    WrongEngineError,
    catalog,
)

KEEPERS = {"lockfree": LockFreeEngine, "sqlite": SqliteEngine}


def make_store(path: Path, engine: str) -> Path:
    """Make a store of one pair, closed."""
    with kvs.open(path, engine) as store:
        store[b"k"] = engine.encode()
    return path


def test_engines_are_listed_the_default_first() -> None:
    """engine_names() has the engines that keep a directory, the default first, and memory last."""
    assert kvs.engine_names() == ["lockfree", "log", "rwlock", "sqlite", "memory"]


@pytest.mark.parametrize("made", ["log", "rwlock", "lockfree"])
@pytest.mark.parametrize("wanted", ["log", "rwlock", "lockfree"])
def test_engines_of_one_format_open_each_other(tmp_path: Path, made: str, wanted: str) -> None:
    """The three engines on the log read and write each other's stores; such a store is opened as the first of them."""
    make_store(tmp_path, made)
    assert catalog.engine_in(tmp_path) == "lockfree"
    with kvs.open(tmp_path, wanted) as store:
        assert (store.name, store.stats().engine) == (wanted, wanted)
        assert dict(store) == {b"k": made.encode()}
        store[b"l"] = b"2"
    with kvs.open(tmp_path, made) as store:
        assert dict(store) == {b"k": made.encode(), b"l": b"2"}


@pytest.mark.parametrize("engine", KEEPERS)
def test_directory_remembers_its_engine(tmp_path: Path, engine: str) -> None:
    """engine_in() names the engine that made the store, also where the ENGINE file is lost."""
    make_store(tmp_path, engine)
    assert catalog.engine_in(tmp_path) == catalog.engine_in(str(tmp_path)) == engine
    (tmp_path / "ENGINE").unlink()
    assert catalog.engine_in(tmp_path) == engine


@pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
@pytest.mark.parametrize("engine", KEEPERS)
def test_store_is_opened_by_the_engine_it_belongs_to(tmp_path: Path, engine: str, flag: str) -> None:
    """kvs.open() without an engine opens a store as what it is, whatever the flag; "n" begins anew in kind."""
    make_store(tmp_path, engine)
    with kvs.open(tmp_path, flag=flag) as store:
        assert type(store) is KEEPERS[engine]
        assert dict(store) == ({} if flag == "n" else {b"k": engine.encode()})


def test_new_store_is_a_log(tmp_path: Path) -> None:
    """Where there is no store yet, kvs.open() makes a log; files that are no store's do not change that."""
    (tmp_path / "notes.db").write_bytes(b"SQLite format 3\0")
    assert catalog.engine_in(tmp_path) is None
    assert catalog.engine_in(tmp_path / "nowhere") is None
    assert catalog.engine_in(tmp_path / "notes.db") is None
    with kvs.open(tmp_path) as store:
        assert isinstance(store, LogEngine)
    with pytest.raises(StoreMissingError):
        kvs.open(tmp_path / "nowhere", flag="r")


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (b"rocks 1\n", WrongEngineError, "belongs to engine 'rocks', not 'log'"),
        (b"unfinished-copy 1\n", WrongEngineError, "belongs to engine 'unfinished-copy', not 'log'"),
        (b"nonsense", CorruptRecordError, "ENGINE is damaged"),
        (b"log 2\n", UnsupportedFormatError, "format version 2"),
        (b"sqlite 2\n", UnsupportedFormatError, "format version 2"),
    ],
)
def test_unknown_engine_is_named_and_nothing_is_touched(
    tmp_path: Path, line: bytes, error: type[StorageError], words: str
) -> None:
    """A directory of an engine, or a version, that is not known here is refused by what it says of itself."""
    make_store(tmp_path, "log")
    (tmp_path / "ENGINE").write_bytes(line)
    before = contents(tmp_path)
    for flag in "rwcn":
        with pytest.raises(error, match=words):
            kvs.open(tmp_path, flag=flag)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("made", "wanted", "has_marker"),
    [("log", "sqlite", True), ("log", "sqlite", False), ("sqlite", "log", True)],
    ids=["log", "log without ENGINE", "sqlite"],
)
@pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
def test_wrong_engine_is_refused_untouched(tmp_path: Path, made: str, wanted: str, flag: str, has_marker: bool) -> None:
    """The other engine's directory is refused by both names, "n" included, and not a byte of it changes."""
    make_store(tmp_path, made)
    if not has_marker:
        (tmp_path / "ENGINE").unlink()
    before = contents(tmp_path)
    with pytest.raises(WrongEngineError) as caught:
        kvs.open(tmp_path, wanted, flag=flag)
    assert (caught.value.found, caught.value.wanted, caught.value.path) == (made, wanted, str(tmp_path))
    assert str(caught.value) == f"{tmp_path} belongs to engine {made!r}, not {wanted!r}"
    assert contents(tmp_path) == before


def test_option_of_another_engine_is_refused(tmp_path: Path) -> None:
    """An option that the directory's engine does not have is a TypeError that names it, and is not passed over."""
    make_store(tmp_path, "sqlite")
    with pytest.raises(TypeError, match="segment_bytes"):
        kvs.open(tmp_path, segment_bytes=1)


def test_commands_open_what_the_directory_remembers(cli: Cli) -> None:
    """The commands that any engine can serve work on a sqlite store, without being told what it is."""
    make_store(cli.directory / "kvs-data", "sqlite")
    cli("get", "k").expect(stdout=b"sqlite\n", stderr=b"")
    cli("set", "a", "1").expect(stdout=b"", stderr=b"")
    cli("rm", "k").expect(stdout=b"", stderr=b"")
    cli("scan").expect(stdout=b"a\t1\n", stderr=b"")
    cli("repl", stdin=b"set b 2\nlen\ncompact\n").expect(stdout=b"2\n", stderr=b"")
    cli("import", "-", "--format", "tsv", "--sync", "always", stdin=b"c\t3\n").expect(stdout=b"imported 1 pair\n")
    cli("export").expect(stdout=b"a\t1\nb\t2\nc\t3\n")
    assert b"sqlite" in cli("stats").expect(stderr=b"").stdout
    cli("compact").expect(stderr=b"")
    assert catalog.engine_in(cli.directory / "kvs-data") == "sqlite"


@pytest.mark.parametrize("words", [["check"], ["repair", "x"], ["backup", "x"], ["inspect"], ["restore", "kvs-data"]])
def test_commands_for_logs_say_so_in_one_line(cli: Cli, words: list[str]) -> None:
    """What only a log can do fails on a sqlite store with one line that names the engine, and makes nothing."""
    make_store(cli.directory / "kvs-data", "sqlite")
    before = contents(cli.directory)
    outcome = cli(*words, *(["--dir", "x"] if words[0] == "restore" else [])).expect(stdout=b"", exit_code=1)
    assert outcome.stderr.count(b"\n") == 1
    assert b"engine 'sqlite'" in outcome.stderr
    assert contents(cli.directory) == before


def test_pools_are_made_by_name() -> None:
    """Each pool in pool_names() is made with as many threads as asked for, and is the one of that name."""
    assert catalog.pool_names() == ["shared-queue", "naive", "executor"]
    for name in catalog.pool_names():
        with catalog.pool(name, 2) as pool:
            assert pool.name == name
    with pytest.raises(ValueError, match=r"no pool is called 'fast'; there are shared-queue, naive, executor"):
        catalog.pool("fast", 2)
    with pytest.raises(ValueError, match="one thread or more"):
        catalog.pool("naive", 0)


def run_in(directory: Path, program: str) -> str:
    """Run a program on the package in a directory and return what it prints."""
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(directory)!r})\n{program}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def test_what_is_not_built_yet_is_no_error(tmp_path: Path) -> None:
    """A tree without a pool and the later engines lists what it has; one without a catalog opens logs."""
    shutil.copytree(ROOT / "kvs", tmp_path / "kvs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / "kvs/lockfree")
    (tmp_path / "kvs/engines/sqlite.py").unlink()
    (tmp_path / "kvs/pool/executor.py").unlink()
    said = run_in(tmp_path, "import kvs, kvs.catalog as c; print(kvs.engine_names(), c.pool_names())")
    assert said == "['log', 'memory'] ['shared-queue', 'naive']\n"
    shutil.rmtree(tmp_path / "kvs/pool")
    make_store(tmp_path / "store", "sqlite")
    said = run_in(
        tmp_path,
        "import kvs, kvs.catalog as c\n"
        "print(c.pool_names())\n"
        f"try: kvs.open({str(tmp_path / 'store')!r})\n"
        "except kvs.WrongEngineError as e: print(e.found)",
    )
    assert said == "[]\nsqlite\n"
    (tmp_path / "kvs/catalog.py").unlink()
    shutil.rmtree(tmp_path / "kvs/engines")
    said = run_in(tmp_path, f"import kvs; print(type(kvs.open({str(tmp_path / 'log')!r})).__name__)")
    assert said == "LogEngine\n"


def test_sqlite_is_imported_when_it_is_used() -> None:
    """A program that uses no sqlite store imports no sqlite3, not even to open a log or to list the engines."""
    program = (
        "import sys, tempfile, kvs\n"
        "with tempfile.TemporaryDirectory() as d:\n"
        "    kvs.engine_names()\n"
        "    kvs.open(d).close()\n"
        "    print('sqlite3' in sys.modules, 'kvs.pool.base' in sys.modules)\n"
    )
    assert run_in(ROOT, program) == "False False\n"
