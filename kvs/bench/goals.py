"""kvs bench goals: what the engine "lockfree" must come to, line by line, measured in one run."""
# ruff: noqa: PLC0415  # what measures is imported only to measure

import tempfile
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvs.cli.command import Json
from kvs.cli.text import put_line

if TYPE_CHECKING:
    from kvs.bench.attempts import Found

Collected = dict[str, list[float]]
"""What the rounds measured, by the goal's name."""


def run(  # a command's options are its arguments
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds; all take turns in each.")] = 5,
    keys: Annotated[int, typer.Option(metavar="N", min=1000, help="Keys of sets, gets, loads and scans.")] = 100_000,
    many: Annotated[int, typer.Option(metavar="N", min=1000, help="Keys of the large store.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(metavar="S", min=0.01, help="How long readers and writers run.")] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the keys and values.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure every goal for speed of the engine "lockfree", and say which are met.

    Needs the other stores: `make bench` installs them. Whatever a goal compares is measured in the same round, and
    the verdict is on the median of the rounds. It exits with 0 also where a goal is missed: the machine may be busy.
    """
    import json

    from rich.console import Console
    from rich.progress import Progress

    from kvs.bench.goal import EXTRAS, GOALS
    from kvs.bench.peers import contenders
    from kvs.bench.rounds import has_gil, setting

    screen = Console(stderr=True)
    with Progress(console=screen, disable=not screen.is_terminal) as bars:
        bar = bars.add_task("measuring", total=None)
        collected = _collect(
            rounds, (keys, many), (seconds, seed), lambda done, total: bars.update(bar, completed=done, total=total)
        )
    figures: dict[str, Any] = {
        **setting(),
        "versions": contenders()[1],
        "rounds": rounds,
        "keys": keys,
        "many": many,
        "goals": [goal.row(collected.get(goal.name, []), has_gil=has_gil()) for goal in GOALS],
        "beside": {name: {"median": median(collected[name]), "unit": unit} for name, unit in EXTRAS},
    }
    if as_json:
        put_line(json.dumps(figures, indent=2, ensure_ascii=False).encode())
    else:
        _show(Console(), figures)


def _collect(
    rounds: int, sizes: tuple[int, int], pace: tuple[float, int], progress: Callable[[int, int], None]
) -> Collected:
    """Measure all, round by round."""
    from kvs.bench import attempts
    from kvs.bench.workloads import Workload

    (keys, many), (seconds, seed) = sizes, pace
    collected: Collected = {}

    def collect(found: "Found") -> None:
        for name, figure in found.items():
            collected.setdefault(name, []).append(figure)

    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        workload, makers = Workload.make(keys, 100, seed), attempts.peers()
        large = attempts.Large(directory, many, seed)
        collect(large.memory())
        steps: list[Callable[[], Found]] = [
            lambda: attempts.beside_peers(workload, makers),
            large.openings,
            large.costs,
            lambda: attempts.crowds(seconds, seed),
            lambda: attempts.compaction(many // 5, seconds, seed),
            attempts.start_up,
        ]
        for number in range(rounds):
            for place, step in enumerate(steps):
                progress(number * len(steps) + place, rounds * len(steps))
                collect(step())
            makers = [*makers[1:], makers[0]]  # another one begins
    return collected


def _show(console: Any, figures: dict[str, Any]) -> None:
    from kvs.bench.report import brief, show_rows

    console.print(f"{figures['python']}, {figures['machine']}", highlight=False)
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    rows = [
        (
            row["name"],
            row["goal"],
            "" if row["median"] is None else brief(row["median"]),
            "" if row["min"] == row["max"] else f"{brief(row['min'])} to {brief(row['max'])}",
            row["verdict"],
        )
        for row in figures["goals"]
    ]
    console.print(versions or "no other stores here", highlight=False)
    title = f"Goals: {figures['keys']:,} keys, many are {figures['many']:,}, {figures['rounds']} rounds"
    show_rows(console, title, rows, ("", "goal", "got", "spread", ""))
    console.print("-: not decided here. What has to do with the GIL needs the other build; peers must be installed.")
    beside = [(name, f"{brief(each['median'])} {each['unit']}") for name, each in figures["beside"].items()]
    show_rows(console, "Beside these", beside)
