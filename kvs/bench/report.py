"""What came out: medians, spread, and the ratio to kvs, round by round; as a table or as JSON."""

import platform
from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

Rounds = dict[str, list[dict[str, float]]]
"""For each contender, what each round measured: operations a second by kind."""


def summary(rounds: Rounds, versions: dict[str, str]) -> dict[str, Any]:
    """Return every figure that the table shows, and where they were measured.

    A ratio is the median of the rounds' own ratios: within a round the machine is in about the same mood.
    """
    ours = next(iter(rounds))
    kinds = [*rounds[ours][0]]
    rows = {
        label: {
            kind: {
                "median": median(rates := [each[kind] for each in measured]),
                "min": min(rates),
                "max": max(rates),
                "ratio": median(a[kind] / b[kind] for a, b in zip(rounds[ours], measured, strict=True)),
            }
            for kind in kinds
        }
        for label, measured in rounds.items()
    }
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "machine": platform.platform(), "versions": versions, "stores": rows}


def show(console: Console, figures: dict[str, Any], title: str) -> None:
    """Print the table: thousands of operations a second, and how kvs compares."""
    stores = figures["stores"]
    kinds = [*next(iter(stores.values()))]
    table = Table(title=title, caption="thousand a second: median (min to max); ×: kvs beside it, median of rounds")
    table.add_column("store")
    for kind in kinds:
        table.add_column(kind, justify="right")
    for label, rates in stores.items():
        table.add_row(label, *(_cell(rates[kind]) for kind in kinds))
    console.print(table)


def _cell(rate: dict[str, float]) -> str:
    low, mid, high = (f"{rate[name] / 1000:,.0f}" for name in ("min", "median", "max"))
    return f"{mid} ({low} to {high})\n×{rate['ratio']:.2f}"


def show_rows(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print named figures."""
    table = Table(title=title, show_header=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
