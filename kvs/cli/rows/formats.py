"""The formats of rows: which one a file is in, and the two functions that write and read it."""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

import typer

from kvs.cli.rows.row import Row

Format: TypeAlias = Literal["tsv", "csv", "jsonl"]
FormatOption: TypeAlias = Annotated[
    Format | None, typer.Option("--format", help="The format; told by the file's ending otherwise, or else tsv.")
]
_ENDINGS: Final[dict[str, Format]] = {
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


class Codec(NamedTuple):
    """How one format is written and read.

    Args:
        encode: makes the row of a key and a value.
        decode: reads rows from lines.
    """

    encode: Callable[[bytes, bytes], bytes]
    decode: Callable[[Iterable[bytes]], Iterator[Row]]


def codec_for(file: str, given: Format | None) -> Codec:
    """Return the codec of the format that was asked for, or that the file's name tells, or of TSV.

    Args:
        file: the file's name; - for stdin or stdout.
        given: the format's name, if the user named one.
    """
    ending = file[file.rfind(".") :].lower() if "." in file else ""
    room = import_module(f"kvs.cli.rows.{given or _ENDINGS.get(ending, 'tsv')}")  # csv, json: only what is needed
    return Codec(room.encode, room.decode)
