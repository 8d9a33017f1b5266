"""Prove the store's promises, and print what was tried, how often, and what was broken.

    python tests/reference/prove.py                          the share of every change: under two minutes on two cores
    python tests/reference/prove.py --share long --seconds 3600
    python tests/reference/prove.py --json out.json
    python tests/reference/prove.py --seed 7 --mode none     one workload again, with its story
    python tests/reference/prove.py --engine lockfree        another engine on the same format

Exit status 1 when a promise was broken, or a planted bug was not caught.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rich.table import Table
from support.crash import planted, tested
from support.crash.pieces import Came, Piece, do
from support.crash.workload import MODES

CI_SHARE: Final = {"explore": 18, "rot": 30, "errno": 12, "machine": 5, "kills": 2, "wire kills": 1, "real": 6}
"""How many pieces of each kind are done for every change; planted bugs are all tried."""
GOALS: Final = {
    "crash states": 100_000,
    "crashes inside recovery": 20_000,
    "runs with a failing call": 10_000,
    "damaged stores": 200_000,
    "steps beside a dict": 20_000,
    "kills": 200,
    "kills of a server": 60,
    "planted bugs": 15,
}
"""What the share of every change must reach, at least."""


@dataclass(slots=True)
class Score:
    """All that was done, by kind of piece."""

    came: dict[str, Came] = field(default_factory=dict)

    def add(self, kind: str, came: Came) -> None:
        """Add what one piece came to."""
        mine = self.came.setdefault(kind, Came())
        mine.seconds += came.seconds
        mine.violations += came.violations
        for what, count in came.counts.items():
            mine.counts[what] = mine.counts.get(what, 0) + count

    @property
    def violations(self) -> list[str]:
        """Every broken promise."""
        return [story for came in self.came.values() for story in came.violations]

    def missed(self) -> list[str]:
        """Return the goals that were not reached."""
        counts = {what: count for came in self.came.values() for what, count in came.counts.items()}
        return [
            f"{what}: {counts.get(what, 0):,} of {goal:,}" for what, goal in GOALS.items() if counts.get(what, 0) < goal
        ]


def ci_pieces() -> Iterator[Piece]:
    """Return the pieces that every change is proved by."""
    for number in range(len(planted.patches())):
        yield Piece("planted", number)
    for number in range(max(CI_SHARE.values())):
        yield from (Piece(kind, number) for kind, count in CI_SHARE.items() if number < count)


def long_pieces() -> Iterator[Piece]:
    """Return pieces without end, in the proportions of the share; the planted bugs once."""
    yield from ci_pieces()
    for lap in itertools.count(1):
        for kind, count in CI_SHARE.items():
            yield from (Piece(kind, lap * count + number) for number in range(count))


def prove(pieces: Iterator[Piece], workers: int, deadline: float | None) -> Score:
    """Do the pieces, so many at a time, until none is left or time is up."""
    score = Score()
    running: dict[Future[Came], Piece] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        while True:
            is_late = deadline is not None and time.monotonic() > deadline
            if not is_late:
                running |= {
                    pool.submit(do, piece): piece for piece in itertools.islice(pieces, workers + 1 - len(running))
                }
            if not running:
                return score
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                score.add(running.pop(future).kind, future.result())


def show(score: Score, console: Console, seconds: float) -> None:
    """Print the table, and the stories of what was broken."""
    table = Table("what", "how many", "violations", "seconds", title="The proof of the store")
    table.columns[1].justify = table.columns[2].justify = table.columns[3].justify = "right"
    for came in score.came.values():
        for index, (what, count) in enumerate(came.counts.items()):
            last = (f"{len(came.violations):,}", f"{came.seconds:.1f}") if index == 0 else ("", "")
            table.add_row(what, f"{count:,}", *last)
    console.print(table)
    console.print(f"{seconds:.0f} s in all; the seconds above are of one core.")
    for story in score.violations[:5]:
        console.print(f"\n{story}", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Prove the store's promises.")
    parser.add_argument("--share", choices=["ci", "long"], default="ci")
    parser.add_argument("--seconds", type=float, help="when to begin no more pieces; for --share long 3600 unless told")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--seed", type=int, help="explore one workload alone")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="with --seed: in this mode")
    parser.add_argument("--engine", choices=[*tested.ENGINES], default="log", help="the engine to prove")
    asked = parser.parse_args()
    os.environ[tested.VARIABLE] = asked.engine  # for the processes that do the work
    began = time.monotonic()
    is_long = asked.share == "long"
    seconds = asked.seconds or (3600.0 if is_long else None)
    pieces = long_pieces() if is_long else ci_pieces()
    if asked.seed is not None:
        pieces = iter([Piece("explore", asked.seed * 3 + MODES.index(asked.mode))])
    score = prove(pieces, asked.workers, None if seconds is None else began + seconds)
    took = time.monotonic() - began
    show(score, Console(), took)
    missed = score.missed() if asked.seed is None and asked.seconds is None else []
    for each in missed:
        sys.stdout.write(f"not reached: {each}\n")
    if asked.json is not None:
        figures = {
            kind: {"counts": came.counts, "violations": came.violations, "seconds": round(came.seconds, 1)}
            for kind, came in score.came.items()
        }
        asked.json.write_text(
            json.dumps({"seconds": round(took, 1), "pieces": figures, "missed": missed}, indent=2) + "\n"
        )
    sys.exit(1 if score.violations or missed else 0)


if __name__ == "__main__":
    main()
