"""The command line on a directory: what one run stores, the next finds."""

import pytest
from support.cli import Cli

pytestmark = [pytest.mark.task("2.2"), pytest.mark.blackbox]


def test_cli_keeps_any_text(cli: Cli) -> None:
    """Unicode, spaces, an empty value and one that begins with a dash all come back from the disk."""
    cli("set", "снеговик", "☃  white").expect(stdout=b"", stderr=b"")
    cli("set", "number", "-5").expect(stdout=b"", stderr=b"")
    cli("repl", stdin=b"set 'two words' ''\n").expect(stdout=b"", stderr=b"")
    cli("get", "снеговик").expect(stdout="☃  white\n".encode(), stderr=b"")
    cli("repl", stdin=b"get number\nget 'two words'\n").expect(stdout=b"-5\n\n", stderr=b"")


def test_cli_dir_names_the_directory(cli: Cli) -> None:
    """--dir says where the store is, KVS_DIR says it too, and without either it is ./kvs-data."""
    cli("set", "--dir", "one", "key", "1").expect()
    cli("set", "key", "2").expect()
    cli("get", "key", env={"KVS_DIR": "one"}).expect(stdout=b"1\n")
    cli("get", "--dir", "kvs-data", "key", env={"KVS_DIR": "one"}).expect(stdout=b"2\n")


def test_cli_reading_makes_no_directory(cli: Cli) -> None:
    """A get in a place without a store leaves that place empty."""
    cli("get", "key").expect(stdout=b"Key not found\n")
    assert list(cli.directory.iterdir()) == []


def test_cli_failure_is_one_line(cli: Cli) -> None:
    """A directory that is a file is told in one line on stderr, with exit code 1."""
    (cli.directory / "file").write_text("not a store")
    outcome = cli("set", "--dir", "file", "key", "value").expect(stdout=b"", exit_code=1)
    assert len(outcome.stderr.splitlines()) == 1
    assert b"file" in outcome.stderr


def test_cli_repl_and_commands_share_the_store(cli: Cli) -> None:
    """What a repl has set, a later command gets, and the other way round."""
    cli("set", "a", "1").expect()
    cli("repl", stdin=b"get a\nset b 2\nrm a\n").expect(stdout=b"1\n", stderr=b"")
    cli("get", "b").expect(stdout=b"2\n")
    cli("get", "--check", "a").expect(exit_code=1)
