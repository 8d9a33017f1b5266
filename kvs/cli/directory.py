"""Which store a command works on, and how it is opened: the one place where a command line becomes an engine.

A store is a directory (`--dir`, KVS_DIR) or behind a server (`--addr`, KVS_ADDR; KVS_PASSWORD if it asks for one, and
KVS_CA_FILE for certificates to believe). What the command line says goes before the environment; it can say one of the
two. In the environment the server goes before the directory: a directory that is served cannot be opened beside it.
"""

import os
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


def _is_given(ctx: typer.Context, name: str) -> bool:
    """Tell whether the command line itself has this option, after the command or before it."""
    source = ctx.get_parameter_source(name)
    is_before = ctx.parent is not None and ctx.parent.params.get(name) is not None
    return is_before or (source is not None and source.name == "COMMANDLINE")


def _settle(ctx: typer.Context, value: str | None) -> str | None:
    """Let the command line name one store; where it names a directory, no variable names a server."""
    if _is_given(ctx, "directory"):
        if _is_given(ctx, "address"):
            ctx.fail("Give --dir or --addr, not both.")
        return None
    return value


def _refuse(ctx: typer.Context, value: str | None) -> None:
    """Say that a command is not for stores behind a server."""
    if value is not None or _is_given(ctx, "address"):
        ctx.fail(f"'kvs {ctx.info_name}' works on the files of a directory: it takes --dir, not --addr.")


Directory: TypeAlias = Annotated[
    str, typer.Option("--dir", metavar="DIR", envvar="KVS_DIR", help="The directory of the store.", is_eager=True)
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--addr",
        metavar="HOST:PORT",
        envvar="KVS_ADDR",
        help="The server that has the store, in place of a directory.",
        callback=_settle,
    ),
]
NoAddress: TypeAlias = Annotated[str | None, typer.Option("--addr", hidden=True, callback=_refuse)]
"""For commands that work on the files themselves."""


def open_to_read(directory: str, address: str | None = None) -> Engine:
    """Open the store for reading. Where there is no directory, nothing is made, and an empty store is read instead.

    Raises:
        StorageError: there is something, but it cannot be read as a store.
    """
    try:
        return open_existing(directory, address)
    except StoreMissingError:
        return MemoryEngine()


def open_existing(directory: str, address: str | None = None) -> Engine:
    """Open the store for reading, and insist that there is one.

    Raises:
        StoreMissingError: there is no store in the directory.
        StorageError: there is something, but it cannot be read as a store.
    """
    return _open(directory, address, flag="r")


def open_to_write(directory: str, address: str | None = None, *, flag: str = "c", **options: Any) -> Engine:
    """Open the store for writing, making it if there is none.

    Args:
        directory: where the store is,
        address: unless it is behind this server, which has opened it in its own way.
        flag: "c", or "w" to insist that there is a store already.
        options: what the engine's own `open` takes.

    Raises:
        StorageError: the directory cannot be used; its subclasses tell why.
    """
    return _open(directory, address, flag=flag, **options)


def _open(directory: str, address: str | None, **options: Any) -> Engine:
    """Open the engine in a directory, or behind a server; a server is spoken to when the engine is used."""
    if address is not None:
        return _client(address)
    if not directory:  # a variable that is not set, most likely; its store is not the current directory
        raise InputError("expected the directory of a store, found an empty name")
    store: Engine = kvs.open(directory, **options)
    return store


def _client(address: str) -> Engine:
    """Return the engine behind a server."""
    password, ca_file = (os.environ.get(name) or None for name in ("KVS_PASSWORD", "KVS_CA_FILE"))
    try:
        client: Engine = kvs.KvsClient(address, password=password, ca_file=ca_file)
    except AttributeError as missing:  # a tree that does not have the client yet
        raise InputError(str(missing)) from None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--addr'") from None
    return client


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
