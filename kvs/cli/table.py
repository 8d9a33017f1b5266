"""Figures as a table for people, or as JSON for scripts."""
# ruff: noqa: PLC0415  # json is imported for scripts that ask for it

import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from kvs.cli.text import put_line
from kvs.engine import EngineStats

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def figures(of: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass by name, in their order; a dataclass within one is figures within figures."""
    return {field.name: _plain(getattr(of, field.name)) for field in fields(of)}


def stats_figures(stats: EngineStats) -> dict[str, Any]:
    """Return an engine's figures by name; those that a server adds in `details` stand among the others."""
    rows = figures(stats)
    rows.update(rows.pop("details", {}))
    return rows


def _plain(value: Any) -> Any:
    """Return a field's value without classes of our own."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return figures(value) if is_dataclass(value) and not isinstance(value, type) else value


def put_figures(rows: dict[str, Any], *, is_json: bool = False) -> None:
    """Print named figures, one a line: a table, or one JSON object."""
    if is_json:
        import json

        put_line(json.dumps(rows, indent=2, default=str).encode())
        return
    flat = dict(_flat(rows))
    width = max(map(len, flat), default=0)
    for name, value in flat.items():
        put_line(f"{name:<{width}}  {_in_words(name, value)}".encode())


def _flat(rows: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield figures within figures as rows of their own; names are words, and units of time move to the value."""
    for name, value in rows.items():
        words = f"{above}{name.removesuffix('_s').replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, f"{words}: ")
        else:
            yield words, value


def _in_words(name: str, value: Any) -> str:
    """Return a figure with its thousands set apart, and large amounts of bytes in a unit that can be grasped too."""
    match value:
        case None:
            words = "-"
        case bool():
            words = "yes" if value else "no"
        case int() if "bytes" in name and value >= 1024:
            words = f"{value:,} ({in_units(value)})"
        case int():
            words = f"{value:,}"
        case float() if name.endswith("last sync"):
            words = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        case _:
            words = str(value)
    return words


def in_units(size_bytes: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> in_units(999), in_units(1_500_000)
    ('999 B', '1.4 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
