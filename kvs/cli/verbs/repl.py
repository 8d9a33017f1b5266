"""kvs repl: a session with the store, typed or from a script."""

import io
import sys

from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, open_to_write
from kvs.cli.session import NOTE, Session
from kvs.cli.terminal import PROMPT, ask, line_editing
from kvs.cli.text import InputError, put_line, warn
from kvs.errors import KvsError


def run(directory: Directory = DEFAULT_DIRECTORY, address: Address = None) -> None:
    """Read commands from the terminal, or from a script on stdin; help lists them.

    Errors go to stderr and the session goes on.
    """
    with open_to_write(directory, address) as store:
        session = Session(store)
        if sys.stdin is None:
            return
        if sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty():
            _talk(session, PROMPT if address is None else f"kvs {address}> ")
        else:
            for line in sys.stdin.buffer:
                _carry_out(session, line)
                sys.stdout.flush()  # another program may be at the other end, waiting for the answer
                if session.is_over:
                    break


def _talk(session: Session, prompt: str) -> None:
    """Ask for lines until the session is over. Ctrl-C clears the line, or stops the command that runs."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # any bytes may be pasted
    put_line(b"help lists the commands. " + NOTE.encode())
    with line_editing(session.names()):
        while not session.is_over:
            try:
                sys.stdout.flush()
                line = ask(prompt)
                if line is None:
                    put_line(b"")
                    return
                _carry_out(session, line)
            except KeyboardInterrupt:
                put_line(b"")


def _carry_out(session: Session, line: bytes) -> None:
    """Run one line; what is wrong with it goes to stderr, after what was printed before it."""
    try:
        session.run(line)
    except (InputError, KvsError) as error:
        sys.stdout.flush()
        warn(str(error) if str(error) == "Key not found" else f"kvs: {error}")
