"""A piece of a data file in one line, for people and for scripts."""

from typing import Any, Final

from kvs.cli.anatomy.hexdump import Span
from kvs.cli.anatomy.survey import State
from kvs.cli.rows.jsonl import member
from kvs.cli.text import counted, show
from kvs.log.walk import Piece

_STATE_STYLES: Final[dict[State, str]] = {"live": "bold green", "dead": "red", "torn": "bold yellow", "bad": "bold red"}
_BEFORE_THE_KEY: Final = 41  # columns that the rest of a heading takes


def heading(piece: Piece, state: State, columns: int) -> list[Span]:
    """Return the line that stands above a piece's bytes, or stands for them: where, what, whether it counts.

    Args:
        piece: what was found.
        state: whether it counts.
        columns: the width there is, which long keys and values are cut to.
    """
    longest = max(8, (columns - _BEFORE_THE_KEY) // 2)
    spans = [
        Span(f"{piece.offset:010d}  ", "bold"),
        Span(f"{'bytes' if piece.kind == 'bad' else piece.kind:<9}  ", "bold"),
        Span(f"{state:<4}  ", _STATE_STYLES.get(state, "")),
    ]
    if piece.record is not None:
        spans.append(Span(f"#{piece.record.sequence:<6}  ", "yellow"))
        spans.append(Span(elided(piece.record.key, longest), "bold cyan"))
        if piece.kind == "value":
            spans += [Span(" = "), Span(elided(piece.record.value, longest), "bold green")]
    elif piece.head is not None:
        merged = f", merged {counted(piece.head.generation, 'time')}" if piece.head.generation else ""
        spans.append(Span(f"segment {piece.head.id}{merged}"))
    elif piece.bad is not None:
        spans.append(
            Span(f"{counted(piece.size_bytes, 'byte')}: expected {piece.bad.expected}, found {piece.bad.found}")
        )
    else:
        spans.append(Span(f"{counted(piece.size_bytes, 'byte')} allocated ahead"))
    return spans


def elided(raw: bytes, longest: int) -> str:
    """Return a key or value as a person reads it, without its middle where it has more than `longest` characters.

    >>> elided(b"a" * 10_000 + b"z", 9)
    'aaaa…aaaz'
    """
    half = (longest - 1) // 2
    shown = show(raw if len(raw) <= 4 * longest else raw[: 2 * longest] + raw[-2 * longest :])
    return shown if len(shown) <= longest else f"{shown[:half]}…{shown[-half:]}"


def as_json(path: str, piece: Piece, state: State) -> dict[str, Any]:
    """Return what is known of a piece, for scripts."""
    known: dict[str, Any] = {
        "file": path,
        "offset": piece.offset,
        "size_bytes": piece.size_bytes,
        "kind": piece.kind,
        "state": state,
    }
    if piece.record is not None:
        known |= {"sequence": piece.record.sequence, "watermark": piece.record.watermark}
        known |= {"has_more": piece.record.has_more}
        if piece.kind != "seal":
            known |= member("key", piece.record.key)
        if piece.kind == "value":
            known |= member("value", piece.record.value)
    if piece.head is not None:
        known |= piece.head._asdict()
    if piece.bad is not None:
        known |= piece.bad._asdict()
    return known
