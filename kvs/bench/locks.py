"""kvs bench locks: the three lock designs beside each other, with readers, a busy writer and a compaction."""
# ruff: noqa: PLC0415  # what measures is imported only to measure

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Annotated, Any, Final

import typer

from kvs.bench.siege import Scene, Toll
from kvs.cli.command import Json
from kvs.cli.text import InputError, put_line

DESIGNS: Final = ("log", "rwlock", "lockfree")
"""One big lock, a readers-writer lock, and none."""
Step = tuple[int, str]
"""How many readers, and which design."""


def run(  # noqa: PLR0913, PLR0917  # a command's options are its arguments
    readers: Annotated[str, typer.Option(metavar="N,M", help="Numbers of reader threads.")] = "1,2,4,8",
    no_writer: Annotated[bool, typer.Option("--no-writer", help="Leave the busy writer out.")] = False,
    no_compaction: Annotated[bool, typer.Option("--no-compaction", help="Leave the compaction out.")] = False,
    keys: Annotated[int, typer.Option(metavar="N", min=1, help="Keys in the store.")] = 50_000,
    value_bytes: Annotated[int, typer.Option(metavar="N", min=0, help="Size of each value.")] = 100,
    seconds: Annotated[float, typer.Option(metavar="S", min=0.01, help="How long each turn takes at least.")] = 1.0,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds; the designs take turns in each.")] = 5,
    as_json: Json = False,
) -> None:
    """Measure the designs "log", "rwlock" and "lockfree": readers beside one busy writer and one compaction.

    A reader's time is that from one read to its next, whatever it waits for: a lock, or Python itself.
    """
    import json

    from rich.console import Console
    from rich.progress import track

    from kvs.bench import chosen
    from kvs.bench.rounds import order, setting
    from kvs.bench.siege import lay

    try:
        counts = chosen.numbers(readers, least=1)
    except ValueError as error:
        raise InputError(str(error)) from None
    screen = Console(stderr=True)

    def steps(todo: Sequence[Step]) -> Iterable[Step]:
        return track(todo, "measuring", console=screen, disable=not screen.is_terminal)

    def play(step: Step) -> Toll:
        scene = Scene(
            engine=step[1], readers=step[0], has_writer=not no_writer, has_compaction=not no_compaction, seconds=seconds
        )
        return lay(scene, keys, value_bytes, seed=1)

    measured = _measure([(count, name) for count in counts for name in order(DESIGNS, rounds)], play, steps)
    figures = {**setting(), "keys": keys, "rounds": rounds, "rows": [_row(step, measured) for step in measured]}
    if as_json:
        put_line(json.dumps(figures, indent=2).encode())
    else:
        _show(Console(), figures)


def _measure(
    todo: Sequence[Step], play: Callable[[Step], Toll], steps: Callable[[Sequence[Step]], Iterable[Step]]
) -> dict[Step, list[Toll]]:
    measured: dict[Step, list[Toll]] = {}
    for step in steps(todo):
        measured.setdefault(step, []).append(play(step))
    return measured


def _row(step: Step, measured: dict[Step, list[Toll]]) -> dict[str, Any]:
    """Return what the rounds of one design with so many readers come to: medians, and the ratio to the big lock."""
    readers, design = step
    tolls, beside = measured[step], measured[readers, DESIGNS[0]]
    return {
        "readers": readers,
        "design": design,
        "reads": median(each.reads for each in tolls),
        "reads_min": min(each.reads for each in tolls),
        "reads_max": max(each.reads for each in tolls),
        "reads_ratio": median(ours.reads / other.reads for ours, other in zip(tolls, beside, strict=True)),
        "writes": median(each.writes for each in tolls),
        "p50_us": median(each.times.percentile(0.50) for each in tolls) / 1000,
        "p99_us": median(each.times.percentile(0.99) for each in tolls) / 1000,
        "p999_us": median(each.times.percentile(0.999) for each in tolls) / 1000,
        "longest_us": median(each.times.longest_ns for each in tolls) / 1000,
        "compaction_s": median(each.compaction_s for each in tolls),
    }


def _show(console: Any, figures: dict[str, Any]) -> None:
    from kvs.bench.report import brief, duration, show_rows

    rows = [
        (
            f"{row['readers']} {row['design']}",
            brief(row["reads"] / 1000),
            brief(row["reads_ratio"]),
            brief(row["writes"] / 1000),
            *(duration(row[name]) for name in ("p50_us", "p99_us", "p999_us", "longest_us")),
            duration(1e6 * row["compaction_s"]),
        )
        for row in figures["rows"]
    ]
    heads = ("readers", "reads", "×", "writes", "p50", "p99", "p99.9", "max", "merge")
    console.print(f"{figures['python']}, {figures['machine']}", highlight=False)
    show_rows(console, f"{figures['keys']:,} keys, {figures['rounds']} rounds, thousands a second", rows, heads)
    console.print(
        f"×: reads beside {DESIGNS[0]}'s, within each round. p50 … max: from one read to the next.\n"
        "merge: how long the compaction took.",
        highlight=False,
    )
