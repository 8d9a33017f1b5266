"""The thirteen tests of project 1 of the Rust course, under their names there.

Where that course has a command say "unimplemented", these have it start from an empty map, as our contract says.
"""

import pytest
from support.cli import Cli
from support.target import Target

from kvs import MemoryEngine

command_line = pytest.mark.task("1.4")


@command_line
@pytest.mark.blackbox
def test_cli_no_args(cli: Cli) -> None:
    """`kvs` without words shows help and exits with 2."""
    assert cli().expect(exit_code=2).stdout.strip()


@command_line
@pytest.mark.blackbox
def test_cli_version(cli: Cli, target: Target) -> None:
    """`kvs -V` prints the version."""
    stdout = cli("-V").expect().stdout
    assert any(character.isdigit() for character in stdout.decode()), "a version has digits in it"
    if target.is_package:
        assert target.version in stdout.decode()


@command_line
@pytest.mark.blackbox
def test_cli_get(cli: Cli) -> None:
    """`kvs get` starts from an empty map: the key is not found, which is an answer and no failure."""
    cli("get", "key1").expect(stdout=b"Key not found\n", stderr=b"")


@command_line
@pytest.mark.blackbox
def test_cli_set(cli: Cli) -> None:
    """`kvs set` says nothing when all went well."""
    cli("set", "key1", "value1").expect(stdout=b"", stderr=b"")


@command_line
@pytest.mark.blackbox
def test_cli_rm(cli: Cli) -> None:
    """`kvs rm` starts from an empty map: there is nothing to remove, which is a failure."""
    outcome = cli("rm", "key1").expect(stdout=b"", exit_code=1)
    assert b"Key not found" in outcome.stderr


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


@pytest.mark.task("1.1")
def test_get_stored_value() -> None:
    """What was set is what get returns."""
    store = MemoryEngine()
    store.set(b"key1", b"value1")
    store.set(b"key2", b"value2")
    assert store.get(b"key1") == b"value1"
    assert store.get(b"key2") == b"value2"


@pytest.mark.task("1.2")
def test_overwrite_value() -> None:
    """A second set of a key replaces its value."""
    store = MemoryEngine()
    store.set(b"key1", b"value1")
    assert store.get(b"key1") == b"value1"
    store.set(b"key1", b"value2")
    assert store.get(b"key1") == b"value2"


@pytest.mark.task("1.1")
def test_get_non_existent_value() -> None:
    """A key that was never set has no value: get returns None."""
    store = MemoryEngine()
    store.set(b"key1", b"value1")
    assert store.get(b"key2") is None


@pytest.mark.task("1.2")
def test_remove_key() -> None:
    """A removed key has no value any more."""
    store = MemoryEngine()
    store.set(b"key1", b"value1")
    store.remove(b"key1")
    assert store.get(b"key1") is None
