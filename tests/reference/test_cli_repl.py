"""The repl at a terminal, through a pseudo-terminal: prompt, editing, history, completion, Ctrl-C and Ctrl-D."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.target import Target

DEADLINE_S = 15
PROMPT = b"kvs> "
_CONTROL_SEQUENCE = re.compile(rb"\x1b\[[?>=0-9;]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """A repl at the other end of a pseudo-terminal."""

    def __init__(self, target: Target, directory: Path) -> None:
        self.history = directory / "state" / "history"
        self._controller, terminal = pty.openpty()
        environment = target.environment() | {"KVS_HISTORY": str(self.history), "TERM": "dumb"}
        self.child = subprocess.Popen(
            [*target.command, "repl"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=directory,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  # so that Ctrl-C becomes a signal; no threads here
        )
        os.close(terminal)

    def read_until(self, wanted: bytes) -> bytes:
        """Return what was printed up to `wanted`, without it; fail if it does not come in time."""
        seen = b""
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in seen:
            ready, _, _ = select.select([self._controller], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                pytest.fail(f"{wanted!r} was not printed in {DEADLINE_S} s, but {seen!r}")
            try:
                seen += os.read(self._controller, 1)
            except OSError:  # the other side is gone
                pytest.fail(f"the session ended before {wanted!r} was printed: {seen!r}")
            seen = _CONTROL_SEQUENCE.sub(b"", seen)
        return seen.removesuffix(wanted)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._controller, keys)

    def ask(self, line: bytes) -> bytes:
        """Type a line and return what it answers, up to the next prompt."""
        self.type(line + b"\n")
        self.read_until(b"\n")
        return self.read_until(PROMPT)

    def interrupt(self) -> None:
        """Press Ctrl-C until there is a new prompt.

        Readline does not see one that comes while it still draws the key before; a person presses it again, too.
        """
        for _ in range(DEADLINE_S):
            self.type(b"\x03")
            if select.select([self._controller], [], [], 1)[0]:
                break
        self.read_until(PROMPT)

    def end(self) -> int:
        """Press Ctrl-D and return the exit status."""
        self.type(b"\x04")
        return self.child.wait(DEADLINE_S)

    def close(self) -> None:
        """Let go of the terminal and of the child."""
        os.close(self._controller)
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(DEADLINE_S)


def _take_terminal() -> None:
    """Make stdin the controlling terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Let children hear Ctrl-C even where this run itself was started in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def terminal(target: Target, tmp_path: Path) -> Iterator[Terminal]:
    """Return a repl that waits at its first prompt."""
    opened = Terminal(target, tmp_path)
    try:
        opened.read_until(PROMPT)
        yield opened
    finally:
        opened.close()


def test_terminal_session(terminal: Terminal) -> None:
    """Typed lines are answered, errors are told, and Ctrl-D ends the session with 0."""
    assert terminal.ask(b'set "snow man" \xe2\x98\x83') == b""
    assert terminal.ask(b'get "snow man"') == b"\xe2\x98\x83\n"
    assert terminal.ask(b"get nothing") == b"Key not found\n"
    assert terminal.ask(b"rm nothing") == b"Key not found\n"
    assert b"usage: set KEY VALUE" in terminal.ask(b"set")
    assert b"Ctrl-D" in terminal.ask(b"help")
    assert terminal.end() == 0


def test_bytes_that_are_no_text_can_be_typed(terminal: Terminal) -> None:
    """A pasted byte that is not UTF-8 is a byte of the key."""
    assert terminal.ask(b"set \xff 1") == b""
    assert terminal.ask(rb"get \xff") == b"1\n"


def test_ctrl_c_clears_the_line(terminal: Terminal) -> None:
    """Ctrl-C drops what was typed; the session goes on with a new prompt and an unchanged store."""
    terminal.type(b"set dropped 1")
    terminal.read_until(b"dropped 1")
    terminal.interrupt()
    assert terminal.ask(b"len") == b"0\n"
    assert terminal.end() == 0


def test_tab_completes_commands(terminal: Terminal) -> None:
    """The tab key completes a command's name, and leaves keys alone."""
    assert terminal.ask(b"set key 1") == b""
    terminal.type(b"g\tkey\n")
    terminal.read_until(b"\n")
    assert terminal.read_until(PROMPT) == b"1\n"
    assert terminal.ask(b"set com\t 2") == b""
    assert terminal.ask(b"get com") == b"2\n"


def test_history_is_kept_for_its_owner_only(terminal: Terminal, target: Target, tmp_path: Path) -> None:
    """Lines of one session can be fetched in the next; nobody else may read the file."""
    assert terminal.ask(b"set key from-history") == b""
    assert terminal.end() == 0
    assert "set key from-history" in terminal.history.read_text()
    assert terminal.history.stat().st_mode & 0o077 == 0
    again = Terminal(target, tmp_path)
    try:
        again.read_until(PROMPT)
        again.type(b"\x10\n")  # Ctrl-P: the line before
        again.read_until(b"from-history\n")
        again.read_until(PROMPT)
        assert again.ask(b"get key") == b"from-history\n"
        assert again.end() == 0
    finally:
        again.close()


def test_history_that_cannot_be_kept_is_no_error(target: Target, tmp_path: Path) -> None:
    """Where the history file cannot be made, the session works all the same."""
    (tmp_path / "state").write_text("a file where the directory should be")
    terminal = Terminal(target, tmp_path)
    try:
        terminal.read_until(PROMPT)
        assert terminal.ask(b"len") == b"0\n"
        assert terminal.end() == 0
    finally:
        terminal.close()


def test_a_script_keeps_no_history(cli: Cli) -> None:
    """Lines that come from a script are not history."""
    cli("repl", stdin=b"set a 1\n", env={"KVS_HISTORY": "history"})
    assert not (cli.directory / "history").exists()


def test_words_may_hold_any_byte(cli: Cli) -> None:
    """Quotes and escapes make any key and value; what is not plain text is shown so that it can be typed back."""
    script = rb"""set "a b" 'c "d" \n'
set e\ f "\x00\xff\n\t\\\""
set '' ""
get "a b"
get 'e f'
get ""
scan
len
"""
    shown = rb'"\x00\xff\n\t\\\""'
    wanted = b'c "d" \\n\n' + shown + b'\n\n\t\na b\tc "d" \\n\ne f\t' + shown + b"\n3\n"
    cli("repl", stdin=script).expect(stdout=wanted, stderr=b"")


def test_scan_takes_prefix_and_limit(cli: Cli) -> None:
    """`scan PREFIX LIMIT` prints the first pairs whose keys begin so."""
    script = b"set b1 1\nset b2 2\nset a 0\nscan b\nscan b 1\nscan b x\nscan '' 0\n"
    cli("repl", stdin=script).expect(
        stdout=b"b1\t1\nb2\t2\nb1\t1\n", stderr=b"kvs: expected a number as the limit, found 'x'\n"
    )


def test_comments_and_blank_lines_do_nothing(cli: Cli) -> None:
    """A script may hold blank lines and # comments; its last line needs no line end."""
    cli("repl", stdin=b"# a comment\n\n   \n  # another\nset k v\nget k").expect(stdout=b"v\n", stderr=b"")


def test_exit_ends_the_script(cli: Cli) -> None:
    """After `exit` or `quit` nothing runs any more, and the exit status is 0."""
    for word in (b"exit", b"quit"):
        cli("repl", stdin=b"len\n" + word + b"\nlen\n").expect(stdout=b"0\n", stderr=b"")


def test_words_too_many_are_refused(cli: Cli) -> None:
    """A command with words beyond its own is refused, not cut short."""
    outcome = cli("repl", stdin=b"set k v w\nlen x\nexit now\nlen\n").expect(stdout=b"0\n")
    assert outcome.stderr == b"kvs: usage: set KEY VALUE\nkvs: usage: len\nkvs: usage: exit, quit, Ctrl-D\n"
