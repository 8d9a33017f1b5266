"""kvs export: write all pairs to a file."""

from collections.abc import Callable
from typing import Annotated, Final

import typer

from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, open_existing
from kvs.cli.files import opened_target
from kvs.cli.progress import shown_progress
from kvs.cli.rows.formats import Codec, FormatOption, codec_for
from kvs.cli.text import counted, put, put_line, warn
from kvs.engine import Engine

_PROGRESS_PAIRS: Final = 1_000


def run(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="The file; - is stdout.", show_default=False)] = "-",
    form: FormatOption = None,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Address = None,
) -> None:
    """Write all pairs to FILE in key order, as `kvs import` reads them.

    FILE is replaced when all of it is written, not before.
    """
    codec = codec_for(file, form)
    with open_existing(directory, address) as store:
        if file == "-":
            warn(f"exported {counted(_write_all(store, codec, put), 'pair')}")
            return
        with opened_target(file) as target:
            count = _write_all(store, codec, target.write)
    put_line(f"exported {counted(count, 'pair')}".encode())


def _write_all(store: Engine, codec: Codec, write: Callable[[bytes], object]) -> int:
    """Write the rows of all pairs and return how many there were."""
    count, keys, size_bytes = 0, max(1, len(store)), store.stats().live_bytes  # keys may come while we count
    with shown_progress("exporting") as progress:
        for count, (key, value) in enumerate(store.scan(), 1):
            write(codec.encode(key, value))
            if count % _PROGRESS_PAIRS == 0:
                progress(size_bytes * count // keys, size_bytes)
    return count
