"""A piece of a data file drawn: one row of bytes after the other, each named after its field.

    0000000052  key         73 6e 6f 77 6d 61 6e              snowman

Colour helps the eye, but says nothing that the names do not say as well.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from kvs.cli.anatomy.fields import Field

_MOST_ROWS: Final = 4
_WIDTHS: Final = ((89, 16), (73, 12), (0, 8))
"""How wide a terminal has to be for how many bytes in a row."""
_STYLES: Final = {
    "magic": "dim",
    "kind": "magenta",
    "flags": "bright_magenta",
    "key size": "cyan",
    "value size": "green",
    "sequence": "yellow",
    "watermark": "blue",
    "key": "bold cyan",
    "value": "bold green",
    "checksum": "bright_black",
    "bytes": "bold red",
    "room": "dim",
}


class Span(NamedTuple):
    """Text in one style; styles are named as rich names them."""

    text: str
    style: str = ""


def draw(fields: list[Field], columns: int, *, is_full: bool) -> Iterator[list[Span]]:
    """Yield the rows of some fields.

    Args:
        fields: what to draw.
        columns: the width there is; below 57 it is exceeded.
        is_full: draw long fields in full; else their middle is left out.
    """
    per_row = next(count for width, count in _WIDTHS if columns >= width)
    for field in fields:
        rows = [field.data[at : at + per_row] for at in range(0, len(field.data), per_row)]
        style = _STYLES.get(field.name, "")
        for number, row in enumerate(rows):
            if not is_full and len(rows) > _MOST_ROWS and 2 <= number < len(rows) - 1:
                if number == 2:
                    left_out = (len(rows) - 3) * per_row
                    yield [Span(f"{'':10}  {field.name:<10}  ", "dim"), Span(f"… {left_out:,} bytes (--full) …", style)]
                continue
            meaning = field.meaning if field.meaning and number == 0 else _as_text(row)
            yield [
                Span(f"{field.offset + number * per_row:010d}  ", "dim"),
                Span(f"{field.name if number == 0 else '':<10}  ", style),
                Span(f"{row.hex(' '):<{3 * per_row - 1}}  ", style),
                Span(meaning, style),
            ]


def _as_text(row: bytes) -> str:
    """Return the bytes as ASCII, with a dot for each that is no visible character."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in row)
