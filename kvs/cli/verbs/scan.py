"""kvs scan: print keys and values in key order."""

from typing import Annotated

import typer

from kvs.cli.command import Hex
from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, open_to_read
from kvs.cli.text import escape, from_argument, put


def run(  # noqa: PLR0913, PLR0917  # a command's options are its arguments
    prefix: Annotated[str | None, typer.Option(metavar="P", help="Only keys that begin with P.")] = None,
    start: Annotated[str | None, typer.Option(metavar="A", help="The first key wanted, itself included.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="B", help="The first key no longer wanted.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=0, help="At most N pairs.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="From the last key to the first.")] = False,
    is_hex: Hex = False,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Address = None,
) -> None:
    r"""Print keys and values in key order, as key<TAB>value lines.

    What would break a line is escaped: \t \n \r \\ and \xHH for control characters and bytes that are not UTF-8. So
    `kvs import` reads the output back.
    """
    shown = _hex if is_hex else escape
    first, last, stem = (None if word is None else from_argument(word, is_hex=is_hex) for word in (start, stop, prefix))
    with open_to_read(directory, address) as store:
        for key, value in store.scan(first, last, prefix=stem, limit=limit, reverse=reverse):
            put(b"%b\t%b\n" % (shown(key), shown(value)))


def _hex(raw: bytes) -> bytes:
    """Return the bytes as hex digits."""
    return raw.hex().encode()
