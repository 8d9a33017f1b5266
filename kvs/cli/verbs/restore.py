"""kvs restore: make a store from a backup."""

from typing import Annotated

import typer

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory, NoAddress
from kvs.cli.progress import shown_progress
from kvs.cli.table import figures, put_figures
from kvs.log.backup import restore


def run(
    src: Annotated[str, typer.Argument(metavar="SRC", help="The directory of the backup.", show_default=False)],
    is_json: Json = False,
    directory: Directory = DEFAULT_DIRECTORY,
    _address: NoAddress = None,
) -> None:
    """Make the store in DIR from the backup in SRC. A store that is there already is never touched."""
    with shown_progress("restoring") as progress:
        report = restore(src, directory, progress)
    put_figures(figures(report), is_json=is_json)
