"""kvs get: print the value of a key."""

from typing import Annotated

import typer

from kvs.cli.command import Hex
from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, open_to_read
from kvs.cli.text import from_argument, put, put_line


def run(
    key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)],
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when there is no such key.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the value without a line end after it.")] = False,
    is_hex: Hex = False,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Address = None,
) -> None:
    """Print the value of KEY, or "Key not found"."""
    raw_key = from_argument(key, is_hex=is_hex)
    with open_to_read(directory, address) as store:
        value = store.get(raw_key)
    if value is None:
        put_line(b"Key not found")
        raise typer.Exit(1 if check else 0)
    if raw and not is_hex:
        put(value)
    else:
        put_line(value, is_hex=is_hex)
