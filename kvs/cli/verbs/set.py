"""kvs set: store a value under a key."""

import sys
from typing import Annotated

import typer

from kvs.cli.command import Hex
from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, held_interrupts, open_to_write
from kvs.cli.text import from_argument


def run(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)],
    value: Annotated[str | None, typer.Argument(metavar="VALUE", help="The value; - reads it from stdin.")] = None,
    file: Annotated[str | None, typer.Option("--file", metavar="F", help="Read the value from this file.")] = None,
    is_hex: Hex = False,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Address = None,
) -> None:
    """Store VALUE under KEY.

    A value from stdin or a file is taken byte for byte, also with --hex.
    """
    if (value is None) == (file is None):
        ctx.fail("Missing argument 'VALUE'." if value is None else "Give VALUE or --file, not both.")
    raw_key = from_argument(key, is_hex=is_hex)
    raw_value = _read(value, file, is_hex=is_hex)
    with held_interrupts(), open_to_write(directory, address) as store:
        store.set(raw_key, raw_value)


def _read(value: str | None, file: str | None, *, is_hex: bool) -> bytes:
    """Return the value, from wherever it comes."""
    if file is not None:
        with open(file, "rb") as source:
            return source.read()
    if value == "-":
        return sys.stdin.buffer.read() if sys.stdin is not None else b""
    return from_argument(value or "", is_hex=is_hex)
