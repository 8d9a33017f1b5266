"""The milestone gate: stage N is looked at once stage N-1 is passed by the same tree."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from support.target import ROOT, Target

DEADLINE_S: Final = 120
STAGE_FOLDER: Final = re.compile(r"stage(\d+)\Z")


def stage_of(path: Path) -> int | None:
    """Return the number of the stage whose suite a file stands in, or None.

    >>> stage_of(ROOT / "tests/stage2/test_tombstones.py")
    2
    >>> stage_of(ROOT / "tests/house/test_layers.py") is None
    True
    """
    tests = ROOT / "tests"
    room = path.relative_to(tests).parts[0] if path != tests and path.is_relative_to(tests) else ""
    found = STAGE_FOLDER.match(room)
    return int(found[1]) if found else None


def stages_to_prove(selected: Iterable[int], whole: Iterable[int]) -> list[int]:
    """Return the stages to be proved first, given those selected and those of them that run as a whole.

    A stage whose whole suite runs in this session proves itself in front of everybody.

    >>> stages_to_prove({1, 2, 4}, whole={1, 2, 4})
    [3]
    >>> stages_to_prove({1, 2}, whole={2})
    [1]
    """
    return sorted({stage - 1 for stage in selected if stage > 1} - set(whole))


def prove(stage: int, target: Target, seed: int) -> str | None:
    """Run the required tests of a stage on the same tree, in a process of its own.

    Returns:
        None when they pass, else what was wrong, for the user's eyes.
    """
    suite = os.path.relpath(ROOT / "tests" / f"stage{stage}")
    words = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), suite, f"--impl={target.directory}"]
    quiet = [
        "-q",
        "--tb=no",
        "--no-header",
        "--maxfail=5",
        "-m",
        "not extension",
        f"--seed={seed}",
        "-p",
        "no:cacheprovider",
    ]
    try:
        done = subprocess.run([*words, *quiet], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"stage {stage} did not end within {DEADLINE_S} s"
    if done.returncode == 0:
        return None
    return "\n".join(
        line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("FAILED", "ERROR", "!"))
    )


def closed_message(stage: int, findings: str, target: Target) -> str:
    """Say that the gate is closed, what closed it, and the two ways on."""
    suite = os.path.relpath(ROOT / "tests" / f"stage{stage}")
    return (
        f"stage {stage} is not passed by {target.directory / 'kvs'} yet, so the next stage was not looked at\n\n"
        f"{findings}\n\nSee more:    pytest {suite} --impl={target.directory}\nGo on anyway: add --no-gate"
    )
