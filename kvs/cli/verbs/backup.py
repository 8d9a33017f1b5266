"""kvs backup: copy the store to another directory."""

from typing import Annotated

import typer

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory, NoAddress, open_existing
from kvs.cli.progress import shown_progress
from kvs.cli.table import figures, put_figures
from kvs.cli.text import InputError
from kvs.log.store import LogEngine


def run(
    dest: Annotated[str, typer.Argument(metavar="DEST", help="The directory to make.", show_default=False)],
    is_json: Json = False,
    directory: Directory = DEFAULT_DIRECTORY,
    _address: NoAddress = None,
) -> None:
    """Copy the store to the directory DEST, which is a store of its own then."""
    with open_existing(directory) as store, shown_progress("backing up") as progress:
        if not isinstance(store, LogEngine):
            raise InputError(f"{directory} belongs to engine {store.name!r}; kvs backup copies the segments of a log")
        report = store.backup(dest, progress)
    put_figures(figures(report), is_json=is_json)
