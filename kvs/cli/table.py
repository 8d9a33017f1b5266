"""Figures as a table for people, or as JSON for scripts."""
# ruff: noqa: PLC0415  # json is imported for scripts that ask for it

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kvs.cli.text import put_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def figures(of: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass by name, in their order."""
    return {field.name: getattr(of, field.name) for field in fields(of)}


def put_figures(rows: dict[str, Any], *, is_json: bool = False) -> None:
    """Print named figures, one a line: a table, or one JSON object."""
    if is_json:
        import json

        put_line(json.dumps(rows, indent=2, default=str).encode())
        return
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        put_line(f"{name.replace('_', ' '):<{width}}  {_in_words(name, value)}".encode())


def _in_words(name: str, value: Any) -> str:
    """Return a figure with its thousands set apart, and large amounts of bytes in a unit that can be grasped too."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}"
    if not isinstance(value, int):
        return str(value)
    if "bytes" in name and value >= 1024:
        return f"{value:,} ({in_units(value)})"
    return f"{value:,}"


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
