"""The seventeen tests of project 2 of the Rust course, under their names there."""

from pathlib import Path

import pytest
from support.cli import Cli
from support.directory import total_bytes
from support.target import Target

import kvs

command_line = pytest.mark.task("2.2")


@command_line
@pytest.mark.blackbox
def test_cli_no_args(cli: Cli) -> None:
    """`kvs` without words shows help and exits with 2."""
    assert cli().expect(exit_code=2).stdout.strip()


@command_line
@pytest.mark.blackbox
def test_cli_version(cli: Cli, target: Target) -> None:
    """`kvs -V` prints the version."""
    stdout = cli("-V").expect().stdout.decode()
    assert any(character.isdigit() for character in stdout), "a version has digits in it"
    assert not target.is_package or target.version in stdout


@command_line
@pytest.mark.blackbox
def test_cli_get_non_existent_key(cli: Cli) -> None:
    """`kvs get` of a key that does not exist says so on stdout; that is an answer and no failure."""
    cli("get", "key1").expect(stdout=b"Key not found\n", stderr=b"")


@command_line
@pytest.mark.blackbox
def test_cli_rm_non_existent_key(cli: Cli) -> None:
    """`kvs rm` of a key that does not exist says so on stderr, and fails."""
    outcome = cli("rm", "key1").expect(stdout=b"", exit_code=1)
    assert b"Key not found" in outcome.stderr


@command_line
@pytest.mark.blackbox
def test_cli_set(cli: Cli) -> None:
    """`kvs set` says nothing when all went well."""
    cli("set", "key1", "value1").expect(stdout=b"", stderr=b"")


@command_line
@pytest.mark.blackbox
def test_cli_get_stored(cli: Cli) -> None:
    """What one run of the program has set, the next run gets."""
    cli("set", "key1", "value1").expect()
    cli("set", "key2", "value2").expect()
    cli("get", "key1").expect(stdout=b"value1\n", stderr=b"")
    cli("get", "key2").expect(stdout=b"value2\n", stderr=b"")


@pytest.mark.task("2.4")
@pytest.mark.blackbox
def test_cli_rm_stored(cli: Cli) -> None:
    """What one run of the program has removed, the next run does not find."""
    cli("set", "key1", "value1").expect()
    cli("rm", "key1").expect(stdout=b"", stderr=b"")
    cli("get", "key1").expect(stdout=b"Key not found\n")


@command_line
@pytest.mark.blackbox
def test_cli_invalid_get(cli: Cli) -> None:
    """`kvs get` takes one word, no fewer and no more."""
    cli("get").expect_usage()
    cli("get", "extra", "field").expect_usage()


@command_line
@pytest.mark.blackbox
def test_cli_invalid_set(cli: Cli) -> None:
    """`kvs set` takes two words, no fewer and no more."""
    cli("set").expect_usage()
    cli("set", "missing_field").expect_usage()
    cli("set", "extra", "extra", "field").expect_usage()


@command_line
@pytest.mark.blackbox
def test_cli_invalid_rm(cli: Cli) -> None:
    """`kvs rm` takes one word, no fewer and no more."""
    cli("rm").expect_usage()
    cli("rm", "extra", "field").expect_usage()


@command_line
@pytest.mark.blackbox
def test_cli_invalid_subcommand(cli: Cli) -> None:
    """A command that does not exist is wrong usage."""
    cli("unknown", "subcommand").expect_usage()


@pytest.mark.task("2.2")
def test_get_stored_value(tmp_path: Path) -> None:
    """What was set is what get returns, before and after a reopen."""
    with kvs.open(tmp_path) as store:
        store.set(b"key1", b"value1")
        store.set(b"key2", b"value2")
        assert store.get(b"key1") == b"value1"
        assert store.get(b"key2") == b"value2"
    with kvs.open(tmp_path) as store:
        assert store.get(b"key1") == b"value1"
        assert store.get(b"key2") == b"value2"


@pytest.mark.task("2.2")
def test_overwrite_value(tmp_path: Path) -> None:
    """The last set of a key counts, before and after a reopen."""
    with kvs.open(tmp_path) as store:
        store.set(b"key1", b"value1")
        assert store.get(b"key1") == b"value1"
        store.set(b"key1", b"value2")
        assert store.get(b"key1") == b"value2"
    with kvs.open(tmp_path) as store:
        assert store.get(b"key1") == b"value2"
        store.set(b"key1", b"value3")
        assert store.get(b"key1") == b"value3"


@pytest.mark.task("2.2")
def test_get_non_existent_value(tmp_path: Path) -> None:
    """A key that was never set has no value, before and after a reopen."""
    with kvs.open(tmp_path) as store:
        store.set(b"key1", b"value1")
        assert store.get(b"key2") is None
    with kvs.open(tmp_path) as store:
        assert store.get(b"key2") is None


@pytest.mark.task("2.4")
def test_remove_non_existent_key(tmp_path: Path) -> None:
    """Removing what is not there raises."""
    with kvs.open(tmp_path) as store, pytest.raises(kvs.KeyNotFoundError):
        store.remove(b"key1")


@pytest.mark.task("2.4")
def test_remove_key(tmp_path: Path) -> None:
    """A removed key has no value any more."""
    with kvs.open(tmp_path) as store:
        store.set(b"key1", b"value1")
        store.remove(b"key1")
        assert store.get(b"key1") is None


@pytest.mark.task("2.6")
def test_compaction(scratch: Path) -> None:
    """A store that only overwrites is compacted in the end, by itself, also when it is reopened all the time."""
    size_bytes = 0
    for round_number in range(1000):
        value = b"%d" % round_number
        with kvs.open(
            scratch, compact_dead_bytes=1 << 20
        ) as store:  # reopened, to see that the dead bytes are counted again
            for key_number in range(1000):
                store.set(b"key%d" % key_number, value)
        if total_bytes(scratch) < size_bytes:
            break
        size_bytes = total_bytes(scratch)
    else:
        pytest.fail("a thousand rounds, and the directory never became smaller")
    with kvs.open(scratch) as store:
        assert all(store.get(b"key%d" % key_number) == value for key_number in range(1000))
