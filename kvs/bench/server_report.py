"""What came out, as a table for people: on a terminal, or in Markdown for a document."""

from typing import Any

from rich.console import Console
from rich.table import Table

CAPTION = "requests a second, median of the rounds; × beside the first; p50 and p99 in milliseconds"


def title(figures: dict[str, Any]) -> str:
    """Return what was measured, in a line."""
    load = figures["loads"][0]
    sync = f", sync {figures['sync']}" if figures["sync"] else ""
    return (
        f"{load['clients']} clients, values of {load['value_bytes']} bytes, engine {figures['engine']}{sync}, "
        f"{figures['rounds']} rounds, load by {figures['generator']}, {figures['python']}"
    )


def heads(figures: dict[str, Any]) -> list[str]:
    """Return what stands above each column of figures: "SET", "SET, 16 deep"."""
    kinds = [kind.split() for kind in next(iter(figures["servers"].values()))]
    return [name.upper() + ("" if depth == "1" else f", {depth} deep") for name, depth in kinds]


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title=title(figures), caption=CAPTION)
    table.add_column("server", overflow="fold")
    for head in heads(figures):
        table.add_column(head, justify="right")
    for label, found in figures["servers"].items():
        table.add_row(label, *(_cell(each) for each in found.values()))
    console.print(table)


def _cell(found: dict[str, float]) -> str:
    return f"{found['median']:,.0f}\n×{found['ratio']:.2f}\n{found['p50_ms']:.1f}, {found['p99_ms']:.1f} ms"


def as_markdown(figures: dict[str, Any]) -> str:
    """Return the table in Markdown: what was measured, then rates and ratios."""
    lines = [
        f"{title(figures)}, {figures['machine']}:",
        "",
        "| server | " + " | ".join(heads(figures)) + " |",
        "|---|" + "---:|" * len(heads(figures)),
    ]
    for label, found in figures["servers"].items():
        cells = (f"{each['median']:,.0f} ×{each['ratio']:.2f}" for each in found.values())
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
