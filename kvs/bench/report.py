"""What came out, for people: tables that fit into 80 columns, with bars."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

BAR_CELLS: Final = 10
EIGHTHS: Final = " ▏▎▍▌▋▊▉"

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""For each contender and workload the figures by name, as kvs.bench.rounds.summary makes them."""


def show(console: Console, stores: Figures, title: str) -> None:
    """Print a table: for each workload the contenders beside each other."""
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    has_times = any("p50_us" in figures for found in stores.values() for figures in found.values())
    for head in ("", "", "k/s", "±", "×", *(("p50", "p99", "p99.9", "max") if has_times else ())):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for name in dict.fromkeys(name for found in stores.values() for name in found):
        rows = {label: found[name] for label, found in stores.items() if name in found}
        most = max(figures["median"] for figures in rows.values())
        table.add_row(f"[bold]{escape(name)}[/]")
        for label, figures in rows.items():
            drawn = bar(figures["median"] / most, BAR_CELLS, is_ascii=console.options.ascii_only)
            table.add_row(f"  {escape(label)}", drawn, *_cells(figures)[: len(table.columns) - 2])
        table.add_section()
    console.print(table)


def explain(console: Console, base: str) -> None:
    """Print what the columns of such tables mean."""
    console.print(
        f"k/s: thousands a second, median of the rounds. ±: half their spread.\n×: beside {base}, within each round.\n"
        "p50 … max: what single operations took.",
        highlight=False,
    )


def _cells(figures: Mapping[str, float]) -> list[str]:
    """Return the cells behind the bar."""
    half_spread = (figures["max"] - figures["min"]) / 2 / figures["median"]
    times = [figures.get(name) for name in ("p50_us", "p99_us", "p999_us", "longest_us")]
    return [
        brief(figures["median"] / 1000),
        f"{half_spread:.0%}",
        brief(figures["ratio"]) if "ratio" in figures else "",
        *("" if each is None else duration(each) for each in times),
    ]


def bar(share: float, cells: int, *, is_ascii: bool = False) -> str:
    """Return a bar that fills a share of so many cells, to an eighth of a cell.

    >>> bar(0.5, 4), bar(0.6, 4), bar(0.5, 4, is_ascii=True)
    ('██', '██▍', '##')
    """
    if is_ascii:
        return "#" * round(share * cells)
    whole, eighths = divmod(round(share * cells * 8), 8)
    return "█" * whole + EIGHTHS[eighths].strip()


def brief(figure: float) -> str:
    """Return a figure with as many digits as say something.

    >>> brief(0.8567), brief(31.41), brief(1234.5), brief(98_765_432)
    ('0.86', '31.4', '1,234', '98.77M')
    """
    if figure >= 1e6:
        return f"{figure / 1e6:.2f}M"
    return f"{figure:,.{2 if figure < 10 else 1 if figure < 100 else 0}f}"


def duration(microseconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> duration(1.234), duration(186.4), duration(8_846), duration(1_250_000)
    ('1.2µs', '186µs', '8.8ms', '1.2s')
    """
    for unit in ("µs", "ms"):
        if microseconds < 999.5:
            return f"{microseconds:.{1 if microseconds < 99.5 else 0}f}{unit}"
        microseconds /= 1000
    return f"{microseconds:.1f}s"


def show_rows(console: Console, title: str, rows: Sequence[tuple[str, ...]], heads: Sequence[str] = ()) -> None:
    """Print rows of words; but for the first, cells are set to the right."""
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    table = Table(box=SIMPLE_HEAD, show_header=bool(heads), padding=(0, 1, 0, 0), pad_edge=False)
    for number in range(len(rows[0]) if rows else 0):
        table.add_column(heads[number] if heads else "", justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
