"""Planted bugs: patches that each take one safeguard out of the log, to see that the explorer misses it.

A patch is a unified diff. Above it stands a sentence that says what is wrong, and "Hunted by: " with the ways that
`hunt` is to try; where only one engine shows it, "Engine: " with its name. Its hunks are found by what they say, not by
line numbers, so that they go on fitting while other lines change; one that fits nowhere, or twice, is an error.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import kvs.errors
from support.crash import tested

TESTS: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(kvs.errors.__file__).parent
FOLDER: Final = TESTS / "reference" / "planted"


class Misfit(Exception):  # noqa: N818  # says what is the matter, as Violation
    """A patch does not apply any more: the code that it breaks was changed, so it must be, too."""


def patches() -> list[Path]:
    """Return all patches, in the order of their names."""
    return sorted(FOLDER.glob("*.patch"))


def plant(patch: Path, root: Path) -> None:
    """Copy the package under test to a directory, and apply a patch to the copy.

    Raises:
        Misfit: it does not apply.
    """
    shutil.copytree(PACKAGE, root / "kvs", ignore=shutil.ignore_patterns("__pycache__"))
    path, hunks = root, list[list[str]]()
    for line in patch.read_text().splitlines():
        if line.startswith("+++ b/"):
            _apply(path, hunks, patch)
            path, hunks = root / line.removeprefix("+++ b/"), []
        elif line.startswith("@@"):
            hunks.append([])
        elif hunks and line[:1] in {" ", "+", "-"} and not line.startswith("---"):
            hunks[-1].append(line)
    _apply(path, hunks, patch)


def _apply(path: Path, hunks: list[list[str]], patch: Path) -> None:
    for hunk in hunks:
        text = path.read_text()
        old = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "+")
        new = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "-")
        if text.count(old) != 1:
            raise Misfit(f"{patch.name} fits {text.count(old)} places of {path.name}:\n{old}")
        path.write_text(text.replace(old, new))


def hunt_planted(patch: Path, root: Path, seconds: float) -> tuple[bool, str]:
    """Hunt for a planted bug in a process of its own.

    Returns:
        Whether it was caught, and its story.
    """
    plant(patch, root)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(TESTS)])}
    for engine in re.findall(r"^Engine: (.+)$", patch.read_text(), re.MULTILINE):
        environment[tested.VARIABLE] = engine
    (ways,) = re.findall(r"^Hunted by: (.+)$", patch.read_text(), re.MULTILINE)
    command = [sys.executable, "-P", "-m", "support.crash.hunt", str(seconds), "0", *ways.split()]
    done = subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, timeout=seconds * 3 + 60, check=False
    )
    return done.returncode == 1 and not done.stderr, done.stdout + done.stderr
