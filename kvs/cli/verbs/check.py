"""kvs check: verify every record."""

import typer

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory, NoAddress
from kvs.cli.progress import shown_progress
from kvs.cli.table import figures, put_figures
from kvs.cli.text import put_line
from kvs.log.verify import check


def run(is_json: Json = False, directory: Directory = DEFAULT_DIRECTORY, _address: NoAddress = None) -> None:
    """Verify every record, and print what is wrong, one finding a line. Exits with 1 when anything is.

    Nothing is changed. `kvs repair DEST` saves what is sound.
    """
    with shown_progress("checking") as progress:
        report = check(directory, progress)
    rows = figures(report)
    if not is_json:
        rows["findings"] = len(report.findings)
        for finding in report.findings:
            put_line(str(finding).encode())
    put_figures(rows, is_json=is_json)
    raise typer.Exit(1 if report.findings else 0)
