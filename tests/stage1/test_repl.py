"""Task 1.5: the repl runs commands line by line on one store, from a script too."""

import pytest
from support.cli import Cli

pytestmark = [pytest.mark.task("1.5"), pytest.mark.blackbox]


def test_repl_goes_on_after_an_error(cli: Cli) -> None:
    """An error is told on stderr, and the next line runs: unknown commands, missing words, absent keys."""
    script = b"set a 1\nrm absent\nno-such-command\nset only-a-key\nget\nget a extra words\nget a\n"
    outcome = cli("repl", stdin=script).expect(stdout=b"1\n")
    assert b"Key not found" in outcome.stderr
    assert b"no-such-command" in outcome.stderr
    assert len(outcome.stderr.splitlines()) >= 5, "each of the five mistakes is told"


def test_repl_survives_an_open_quote(cli: Cli) -> None:
    """A quote that is never closed is an error of that line alone."""
    outcome = cli("repl", stdin=b"set a 1\nset b 'open\nget a\n").expect(stdout=b"1\n")
    assert outcome.stderr.strip()


def test_repl_survives_bytes_that_are_no_text(cli: Cli) -> None:
    """Bytes that are no UTF-8 do not end the session, whether they are taken or refused."""
    outcome = cli("repl", stdin=b"set a 1\nset b \xff\xfe\nget a\n").expect()
    assert outcome.stdout == b"1\n"


def test_repl_keeps_many_keys(cli: Cli) -> None:
    """A long script keeps every key."""
    script = "".join(f"set key{number} value{number}\n" for number in range(300))
    script += "".join(f"get key{number}\n" for number in range(300))
    wanted = "".join(f"value{number}\n" for number in range(300))
    cli("repl", stdin=script.encode()).expect(stdout=wanted.encode(), stderr=b"")


def test_repl_prints_no_prompt_for_a_script(cli: Cli) -> None:
    """When stdin is no terminal, stdout holds results and nothing else: no prompt, no greeting."""
    cli("repl", stdin=b"set a 1\nset b 2\nget b\nget absent\n").expect(stdout=b"2\nKey not found\n", stderr=b"")
