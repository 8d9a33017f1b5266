"""A program that dies at each of its calls to the operating system in turn, to see what every death leaves behind.

    python -m support.crash_points SCENARIO.py BASE ROOT [WORD…]

The scenario defines `prepare(path)`, which makes the store in BASE that every run begins with, and
`act(path, acknowledge, *words)`, which works on a copy of it and calls `acknowledge(steps, is_durable)` as it goes.
Run 1 dies at the first trapped call, run 2 at the second, and so on until a run comes to its end. Each leaves its
images in a folder of ROOT named by its number, and a line of JSON on stdout: at which call it died, how many steps
had been acknowledged, and how many of them as durable.

Runs are forked, which makes them cheap; the process that forks never starts a thread.
"""

import importlib.util
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.traps import DIED, Traps, install, read_whole, real_pwrite

MOST_RUNS: Final = 400


@dataclass(frozen=True, slots=True)
class Play:
    """What is played again and again: a scenario with its words, under these traps."""

    scenario: Any
    words: tuple[str, ...]
    traps: Traps

    def until(self, call: int, base: Path, images: Path) -> dict[str, object] | None:
        """Play it in a fork that dies at this trapped call; return what is to be told, or None if it lived."""
        images.mkdir()
        path = images / "work"
        shutil.copytree(base, path)
        status = in_fork(lambda: self._act(path, images, call))
        shutil.rmtree(path)
        if status == 0:
            return None
        if status != DIED:
            sys.exit(f"the run to call {call} ended with status {status}")
        steps = {name: len(read_whole(images / name)) for name in ("acknowledged", "durable")}
        return {"run": call, "call": read_whole(images / "call").decode(), **steps}

    def _act(self, path: Path, images: Path, call: int) -> None:
        """Let the scenario act; how much it acknowledges is kept as the lengths of two files."""
        flags = os.O_CREAT | os.O_WRONLY
        acknowledged, durable = (os.open(images / name, flags) for name in ("acknowledged", "durable"))

        def acknowledge(steps: int, is_durable: bool) -> None:
            real_pwrite(acknowledged, b".", steps - 1)
            if is_durable:
                real_pwrite(durable, b".", steps - 1)

        self.traps.arm(path, images, call)
        self.scenario.act(path, acknowledge, *self.words)


def in_fork(job: Callable[[], None]) -> int:
    """Run a job in a forked child and return its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            job()
        except BaseException:  # noqa: BLE001  # whatever it is, the fork must end here
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(scenario_file: str, base: str, root: str, *words: str) -> None:
    """Prepare the store, then play until a run lives."""
    traps = Traps()
    install(traps)
    spec = importlib.util.spec_from_file_location("scenario", scenario_file)
    assert spec is not None
    assert spec.loader is not None
    scenario = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenario)
    if in_fork(lambda: scenario.prepare(Path(base))) != 0:
        sys.exit("the store could not be prepared")
    play = Play(scenario, words, traps)
    for call in range(1, MOST_RUNS + 1):
        told = play.until(call, Path(base), Path(root) / str(call))
        if told is None:
            return
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    sys.exit(f"no run came to its end within {MOST_RUNS} calls")


if __name__ == "__main__":
    main(*sys.argv[1:])
