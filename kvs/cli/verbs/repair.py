"""kvs repair: save what is sound into a new store."""

from typing import Annotated

import typer

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory, NoAddress
from kvs.cli.progress import shown_progress
from kvs.cli.table import figures, put_figures
from kvs.cli.text import put_line
from kvs.log.repair import repair


def run(
    dest: Annotated[str, typer.Argument(metavar="DEST", help="The directory to make.", show_default=False)],
    is_json: Json = False,
    directory: Directory = DEFAULT_DIRECTORY,
    _address: NoAddress = None,
) -> None:
    """Save what is sound of the store in DIR into a new one in DEST, and say what was lost.

    The damaged store stays as it is.
    """
    with shown_progress("repairing") as progress:
        report = repair(directory, dest, progress)
    rows = figures(report)
    if not is_json:
        rows["damaged stretches"] = len(rows.pop("lost"))
        for finding in report.lost:
            put_line(str(finding).encode())
    put_figures(rows, is_json=is_json)
