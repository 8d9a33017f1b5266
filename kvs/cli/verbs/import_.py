"""kvs import: store the pairs of a file."""

import sys
from typing import Annotated, Literal

import typer

from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, held_interrupts, open_to_write
from kvs.cli.files import opened_source
from kvs.cli.progress import shown_progress
from kvs.cli.rows.formats import FormatOption, codec_for
from kvs.cli.rows.reading import Reading
from kvs.cli.text import counted, put_line


def run(  # noqa: PLR0913, PLR0917  # a command's options are its arguments
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; - is stdin.", show_default=False)],
    form: FormatOption = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out malformed lines, and count them.")] = False,
    ack: Annotated[bool, typer.Option("--ack", help="Print the count so far whenever a batch is stored.")] = False,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pairs in a batch, which is stored as one.")] = 1_000,
    sync: Annotated[
        Literal["always", "interval", "none"] | None,
        typer.Option(help="When writes reach the disk itself.", show_default=False),
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Address = None,
) -> None:
    r"""Store the pairs of FILE: tab-separated, comma-separated or JSON lines.

    A malformed line is told with its number, and nothing is imported: the whole file is read before the first write.

    tsv: one pair a line, key<TAB>value, with \t \n \r \\ for these characters and \xHH for any byte.

    csv: two columns, quoted as spreadsheets do, without a heading line.

    jsonl: {"key": "k", "value": "v"} on each line; "key_hex" and "value_hex" for what is not UTF-8.
    """
    if address is not None and sync is not None:
        raise typer.BadParameter("the server decides when writes reach the disk", param_hint="'--sync'")
    codec = codec_for(file, form)
    options = {} if sync is None else {"sync": sync}
    stored = 0
    with (
        opened_source(file, is_read_twice=not skip_bad) as source,
        shown_progress("importing") as progress,
    ):
        rows = Reading("stdin" if file == "-" else file, source, codec, progress)
        if not skip_bad:
            rows.validate()
        with open_to_write(directory, address, **options) as store:
            for pairs in rows.batches(batch):
                with held_interrupts():
                    store.write(pairs)
                    stored += len(pairs)
                    if ack:
                        put_line(str(stored).encode())
                        sys.stdout.flush()
    if not ack:
        skipped = f", skipped {counted(rows.skipped, 'line')}" if skip_bad else ""
        put_line(f"imported {counted(stored, 'pair')}{skipped}".encode())
    elif not stored:
        put_line(b"0")
