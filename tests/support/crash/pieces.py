"""Pieces: the proof's work in parts of a few seconds, each for a process of its own, and what each comes to."""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from support.crash import planted
from support.crash.explore import Care, Explorer
from support.crash.faults import faults_for
from support.crash.machine import run_machine
from support.crash.rot import RotTally, sweep
from support.crash.run import Violation
from support.crash.scale import small_measures
from support.crash.story import shrink, tell
from support.crash.survivor import BrokenPromise, Survivor, calls_of
from support.crash.workload import MODES, draw

OPS: Final = 12
CARE: Final = Care(probe_every=3, recovery_every=150, kill_every=25)
CHILD_S: Final = 300.0


@dataclass(slots=True)
class Came:
    """What a piece came to.

    Args:
        counts: of what, how many.
        violations: the promises that were broken, as stories.
        seconds: how long it took one core.
    """

    counts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Piece(NamedTuple):
    """One part of the work: its kind, and the number that its random choices come from."""

    kind: str
    number: int


def do(piece: Piece) -> Came:
    """Do a piece of the work."""
    logging.disable(logging.CRITICAL)
    came = Came()
    began = time.monotonic()
    with small_measures():
        KINDS[piece.kind](piece.number, came)
    came.seconds = time.monotonic() - began
    return came


def _explore(number: int, came: Came) -> None:
    explorer = Explorer(CARE, seed=number)
    try:
        explorer.explore(draw(number // 3, MODES[number % 3], OPS))
    except Violation as violation:
        came.violations.append(tell(shrink(violation, Explorer(CARE).explore)))
    tally = explorer.tally
    came.counts = {
        "crash states": tally.crashes,
        "crashes inside recovery": tally.in_recovery,
        "power failures after kill and reopen": tally.after_kill,
        "distinct states opened": tally.opened,
    }


def _rot(number: int, came: Came) -> None:
    tally = RotTally()
    sweep(range(number, number + 1), tally)
    came.counts = {"damaged stores": tally.cases}
    came.violations = tally.wrong


def _errno(number: int, came: Came) -> None:
    workload = draw(number // 3, MODES[number % 3], OPS)
    runs = 0
    for fault in faults_for(calls_of(workload)):
        runs += 1
        try:
            Survivor(workload, fault).live()
        except BrokenPromise as broken:
            came.violations.append(f"seed {workload.seed}, call {fault.at}, errno {fault.number}: {broken}")
    came.counts = {"runs with a failing call": runs}


def _machine(number: int, came: Came) -> None:
    came.counts = {"steps beside a dict": run_machine(100, number)}


def _planted(number: int, came: Came) -> None:
    patch = planted.patches()[number]
    with tempfile.TemporaryDirectory() as root:
        was_caught, story = planted.hunt_planted(patch, Path(root), seconds=60)
    came.counts = {"planted bugs": 1}
    if not was_caught:
        came.violations.append(f"{patch.name} was not caught: {story}")


def _kills(number: int, came: Came) -> None:
    with tempfile.TemporaryDirectory() as root:
        told = child("kills", f"{root}/store", number, 100)
    came.counts = {"kills": told["kills"], "writes acknowledged before a kill": told["acknowledged"]}
    came.violations = told["violations"]


def _wire_kills(number: int, came: Came) -> None:
    with tempfile.TemporaryDirectory() as root:
        told = child("wire_kills", f"{root}/store", number, 60, 8)
    came.counts = {"kills of a server": told["kills"], "writes acknowledged over the wire": told["acknowledged"]}
    came.violations = told["violations"]


def _real(number: int, came: Came) -> None:
    with tempfile.TemporaryDirectory() as root:
        told = child("real", root, number // 3, MODES[number % 3])
    came.counts = {"real calls as recorded": told["calls"], "real deaths as recorded": told["deaths"]}
    came.violations = told["differences"]


KINDS: Final[dict[str, Callable[[int, Came], None]]] = {
    "explore": _explore,
    "rot": _rot,
    "errno": _errno,
    "machine": _machine,
    "planted": _planted,
    "kills": _kills,
    "wire kills": _wire_kills,
    "real": _real,
}


def child(module: str, *words: object) -> dict[str, Any]:
    """Run one of this folder's programs against the package under test; return what it tells."""
    command = [sys.executable, "-P", "-m", f"support.crash.{module}", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(planted.PACKAGE.parent), str(planted.TESTS)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CHILD_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{module} failed:\n{done.stdout}{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
