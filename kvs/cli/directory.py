"""Which store a command works on, and how it is opened: the one place where a command line becomes an engine."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, Final, TypeAlias

import typer

import kvs
from kvs.cli.text import InputError
from kvs.engine import Engine
from kvs.errors import StoreMissingError
from kvs.memory import MemoryEngine

DEFAULT_DIRECTORY: Final = "./kvs-data"

Directory: TypeAlias = Annotated[
    str, typer.Option("--dir", metavar="DIR", envvar="KVS_DIR", help="The directory of the store.")
]


def open_to_read(directory: str) -> Engine:
    """Open the store for reading. Where there is none, nothing is made, and an empty store is read instead.

    Raises:
        StorageError: there is something, but it cannot be read as a store.
    """
    try:
        return open_existing(directory)
    except StoreMissingError:
        return MemoryEngine()


def open_existing(directory: str) -> Engine:
    """Open the store for reading, and insist that there is one.

    Raises:
        StoreMissingError: there is no store in the directory.
        StorageError: there is something, but it cannot be read as a store.
    """
    return _open(directory, flag="r")


def open_to_write(directory: str, flag: str = "c", **options: Any) -> Engine:
    """Open the store for writing, making it if there is none.

    Args:
        directory: where the store is.
        flag: "c", or "w" to insist that there is a store already.
        options: what the engine's own `open` takes.

    Raises:
        StorageError: the directory cannot be used; its subclasses tell why.
    """
    return _open(directory, flag=flag, **options)


def _open(directory: str, **options: Any) -> Engine:
    """Open the engine behind a directory."""
    if not directory:  # a variable that is not set, most likely; its store is not the current directory
        raise InputError("expected the directory of a store, found an empty name")
    store: Engine = kvs.open(directory, **options)
    return store


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done, so that a write is either not begun or finished.

    Threads: for the main thread, the only one to which Python delivers signals.
    """
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):  # as in a shell's background job: it is not ours to revive
        yield
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            raise KeyboardInterrupt
