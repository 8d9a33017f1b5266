"""Hunt: look for one broken promise, and tell its story.

    python -m support.crash.hunt SECONDS SHRINK_SECONDS WAY…

SHRINK_SECONDS is how long the story may be made shorter; a way may name the seed to begin with, as in rot@3. Exit
status 1 when a promise was broken, 0 when none was in that time. The ways: play (the living store, and after
reopening), explore (crashes), rot, errno. Planted bugs are hunted with this, each in a process of its own, whose
PYTHONPATH leads to the copy of the package with the bug in it.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from support.crash.explore import Care, Explorer
from support.crash.faults import faults_for
from support.crash.play import play
from support.crash.rot import RotTally, sweep
from support.crash.run import Violation
from support.crash.scale import small_measures
from support.crash.story import shrink, tell
from support.crash.survivor import BrokenPromise, Survivor, calls_of
from support.crash.workload import MODES, draw

OPS: Final = 12
CARE: Final = Care(probe_every=2, recovery_every=8, kill_every=5)


def by_playing(seed: int) -> Violation | str | None:
    """Play many workloads, and crash none."""
    for number in range(seed * 20, seed * 20 + 20):
        for mode in MODES:
            try:
                play(draw(number, mode, 2 * OPS))
            except Violation as violation:
                return violation
    return None


def by_exploring(seed: int) -> Violation | str | None:
    """Explore one workload."""
    try:
        Explorer(CARE).explore(draw(seed, MODES[seed % 3], OPS))
    except Violation as violation:
        return violation
    return None


def by_rotting(seed: int) -> Violation | str | None:
    """Damage one store in every small way."""
    tally = RotTally()
    sweep(range(seed, seed + 1), tally, most_wrong=1)
    return tally.wrong[0] if tally.wrong else None


def by_failing(seed: int) -> Violation | str | None:
    """Let one workload's calls to the disk fail, each in turn."""
    workload = draw(seed, MODES[seed % 3], OPS)
    try:
        for fault in faults_for(calls_of(workload)):
            Survivor(workload, fault).live()
    except BrokenPromise as broken:
        return f"seed {workload.seed}: {broken}"
    return None


WAYS: Final[dict[str, Callable[[int], Violation | str | None]]] = {
    "play": by_playing,
    "explore": by_exploring,
    "rot": by_rotting,
    "errno": by_failing,
}


def hunt(seconds: float, ways: list[str]) -> Violation | str | None:
    """Return the first broken promise, or None."""
    deadline = time.monotonic() + seconds
    begins = [(WAYS[name], int(seed or 0)) for name, _, seed in (way.partition("@") for way in ways)]
    tries: Iterator[Violation | str | None] = (way(first + lap) for lap in count() for way, first in begins)
    for found in tries:
        if found is not None or time.monotonic() > deadline:
            return found
    return None


def main(seconds: str, shrink_seconds: str, *ways: str) -> None:
    """Hunt for so many seconds, in these ways."""
    logging.disable(logging.CRITICAL)
    with small_measures():
        found = hunt(float(seconds), [*ways])
        if isinstance(found, Violation):
            found = tell(shrink(found, Explorer(CARE).explore, float(shrink_seconds)))
    sys.stdout.write(f"{found}\n" if found else "no promise was broken\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
