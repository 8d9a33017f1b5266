"""Task 3.4: an engine never opens a directory that belongs to another."""

from pathlib import Path

import pytest
from support.cli import Cli
from support.directory import contents
from support.engines import every_engine, filled

import kvs

pytestmark = pytest.mark.task("3.4")

other_engine = pytest.mark.parametrize(("made", "wanted"), [("log", "sqlite"), ("sqlite", "log")])


def untouched(directory: Path) -> dict[str, bytes]:
    """Return what a refused opening must leave as it was: every file but the lock, which it may have looked at."""
    return {name: data for name, data in contents(directory).items() if "lock" not in name.lower()}


@other_engine
def test_wrong_engine_is_refused(scratch: Path, made: str, wanted: str) -> None:
    """A store that the other engine made is refused: WrongEngineError names both, and is a StorageError."""
    filled(scratch, made)
    with pytest.raises(kvs.WrongEngineError) as caught:
        kvs.open(scratch, wanted)
    assert isinstance(caught.value, kvs.StorageError)
    assert (caught.value.found, caught.value.wanted) == (made, wanted)
    assert made in str(caught.value)
    assert wanted in str(caught.value)


@other_engine
def test_refused_engine_touches_nothing(scratch: Path, made: str, wanted: str) -> None:
    """Whoever is refused leaves no file behind and changes none; the right engine opens the store as it was."""
    filled(scratch, made)
    before = untouched(scratch)
    for _ in range(2):
        with pytest.raises(kvs.WrongEngineError):
            kvs.open(scratch, wanted)
    assert untouched(scratch) == before
    with kvs.open(scratch, made) as store:
        assert dict(store) == {b"made by": made.encode()}


@other_engine
def test_empty_store_remembers_its_engine(scratch: Path, made: str, wanted: str) -> None:
    """A store in which nothing was ever written belongs to its engine all the same."""
    kvs.open(scratch, made).close()
    with pytest.raises(kvs.WrongEngineError):
        kvs.open(scratch, wanted)
    kvs.open(scratch, made).close()


@other_engine
def test_open_store_is_guarded_too(scratch: Path, made: str, wanted: str) -> None:
    """While the right engine has it open, the wrong one is refused, by either reason, and the store works on."""
    with kvs.open(scratch, made) as store:
        store.set(b"key", b"value")
        with pytest.raises((kvs.WrongEngineError, kvs.StoreLockedError)):
            kvs.open(scratch, wanted)
        store.set(b"other", b"value")
    with kvs.open(scratch, made) as store:
        assert len(store) == 2


def test_segments_alone_are_a_log(scratch: Path) -> None:
    """A directory with segments and nothing that names an engine is a log, as one from before there were two."""
    filled(scratch, "log")
    for name in contents(scratch):
        if not name.endswith(".data"):
            (scratch / name).unlink()
    before = untouched(scratch)
    with pytest.raises(kvs.WrongEngineError):
        kvs.open(scratch, "sqlite")
    assert untouched(scratch) == before
    with kvs.open(scratch, "log") as store:
        assert dict(store) == {b"made by": b"log"}


def test_engines_live_side_by_side(scratch: Path) -> None:
    """Stores of different engines in different directories do not disturb each other."""
    with kvs.open(scratch / "one", "log") as one, kvs.open(scratch / "two", "sqlite") as two:
        one.set(b"key", b"1")
        two.set(b"key", b"2")
        assert (one.get(b"key"), two.get(b"key")) == (b"1", b"2")


# Extensions: they gate nothing.


@pytest.mark.extension
@every_engine
def test_directory_is_opened_as_what_it_is(scratch: Path, engine: str) -> None:
    """kvs.open() without an engine opens a store that is there, with the engine that made it or one of its format."""
    filled(scratch, engine)
    with kvs.open(scratch) as store:
        assert (store.name == "sqlite") == (engine == "sqlite")
        assert dict(store) == {b"made by": engine.encode()}


@pytest.mark.extension
@every_engine
def test_commands_open_what_is_there(cli: Cli, engine: str) -> None:
    """The commands work on a store of any engine, without being told of which."""
    filled(cli.directory / "kvs-data", engine)
    cli("get", "made by").expect(stdout=f"{engine}\n".encode(), stderr=b"")
    cli("set", "key", "value").expect(stdout=b"", stderr=b"")
    cli("rm", "made by").expect(stdout=b"", stderr=b"")
    cli("get", "key").expect(stdout=b"value\n", stderr=b"")
    with kvs.open(cli.directory / "kvs-data", engine) as store:
        assert dict(store) == {b"key": b"value"}
