"""kvs inspect: show the log's bytes, record by record."""
# ruff: noqa: PLC0415  # rich for terminals, json for scripts

import os
import sys
from collections.abc import Callable, Iterator
from shutil import get_terminal_size
from typing import Annotated, TypeAlias

import typer

from kvs.cli.anatomy.fields import fields_of
from kvs.cli.anatomy.heading import as_json, heading
from kvs.cli.anatomy.hexdump import Span, draw
from kvs.cli.anatomy.survey import State, Survey, data_files, read_bytes
from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory, NoAddress
from kvs.cli.text import counted, put_line
from kvs.errors import StoreMissingError
from kvs.log import marker
from kvs.log.disk import OsDisk
from kvs.log.files import parse
from kvs.log.walk import Piece, walk

Found: TypeAlias = tuple[str, Piece, State]


def run(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A data file or a store; all files of DIR otherwise.")
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", help="One line a record, without the bytes.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Long keys and values in full.")] = False,
    is_json: Json = False,
    directory: Directory = DEFAULT_DIRECTORY,
    _address: NoAddress = None,
) -> None:
    """Show the log's bytes record by record, each field named, and whether the record counts.

    live: the value of its key. dead: replaced or removed, until a compaction gives its bytes back; so are the
    tombstones that remove. torn: cut short by a crash, and ignored. bad: damaged.

    The files are read as they are: damaged ones too, and while the store is in use.
    """
    target = directory if file is None else file
    paths = data_files(target) if file is None or os.path.isdir(file) else [file]
    if not paths:
        disk = OsDisk(target)
        marker.check(disk, disk.list())  # says when it is another engine's, which has none
        raise StoreMissingError(f"there are no data files in {target}")
    for path in paths:
        os.stat(path)  # tells now, before anything is printed, when there is no such file
    survey = Survey(_neighbours(paths))
    if is_json:
        _put_json(paths, survey)
        return
    put = _styled() if os.environ.get("FORCE_COLOR") or (sys.stdout is not None and sys.stdout.isatty()) else _plain
    for path in paths:
        put([Span(f"{path}  {counted(os.path.getsize(path), 'byte')}", "bold underline")])
        for line in _lines(path, survey, is_brief=brief, is_full=full):
            put(line)


def _lines(path: str, survey: Survey, *, is_brief: bool, is_full: bool) -> Iterator[list[Span]]:
    """Yield the lines for one file."""
    columns = get_terminal_size().columns
    data = read_bytes(path)
    for piece in walk(data):
        if not is_brief:
            yield []
        yield heading(piece, survey.state_of(path, piece), columns)
        if not is_brief:
            yield from draw(
                fields_of(piece, data[piece.offset : piece.offset + piece.size_bytes]), columns, is_full=is_full
            )


def _put_json(paths: list[str], survey: Survey) -> None:
    """Print one JSON object a piece."""
    import json

    for path in paths:
        data = read_bytes(path)
        for piece in walk(data):
            put_line(json.dumps(as_json(path, piece, survey.state_of(path, piece)), ensure_ascii=False).encode())


def _neighbours(paths: list[str]) -> list[str]:
    """Return the files that decide what counts in these: for one file of a store, all files of that store."""
    if len(paths) > 1 or parse(os.path.basename(paths[0])) is None:
        return paths
    room = os.path.dirname(paths[0])
    return [os.path.join(room, os.path.basename(path)) for path in data_files(room or ".")]


def _plain(line: list[Span]) -> None:
    """Print a line without colours."""
    put_line("".join(span.text for span in line).rstrip().encode())


def _styled() -> Callable[[list[Span]], None]:
    """Return what prints a line in colours, unless NO_COLOR forbids them."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def put(line: list[Span]) -> None:
        console.print(Text.assemble(*line), soft_wrap=True)

    return put
