"""kvs rm: remove a key and its value."""

from typing import Annotated

import typer

from kvs.cli.command import Hex
from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, held_interrupts, open_to_write
from kvs.cli.text import from_argument, warn
from kvs.errors import KeyNotFoundError, StoreMissingError


def run(
    key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)],
    is_hex: Hex = False,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Address = None,
) -> None:
    """Remove KEY and its value."""
    raw_key = from_argument(key, is_hex=is_hex)
    try:
        with held_interrupts(), open_to_write(directory, address, flag="w") as store:
            store.remove(raw_key)
    except (KeyNotFoundError, StoreMissingError):  # where there is no store, there is no key: none is made to find out
        warn("Key not found")
        raise typer.Exit(1) from None
