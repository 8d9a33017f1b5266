"""A program that plays a scenario and takes crash images before each of its calls to the system.

    python -m support.crash_points SCENARIO.py STORE IMAGES [WORD…]

The scenario defines `prepare(path)`, which makes the store and may end the process, and `act(path, acknowledge,
*words)`, which works on it and calls `acknowledge(steps, is_durable)` as it goes. For each call, a line of JSON on
stdout: the call, the images by kind, how many steps had been acknowledged, and how many of them as durable.
"""

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from support.crash_images import CrashImages, install

images: CrashImages | None = None
steps = {"acknowledged": 0, "durable": 0}


def acknowledge(count: int, is_durable: bool) -> None:
    """Take note that so many steps are acknowledged."""
    steps["acknowledged"] = count
    if is_durable:
        steps["durable"] = count


def tell(found: dict[str, str]) -> None:
    """Print what is known at one call."""
    sys.stdout.write(json.dumps(found | steps) + "\n")
    sys.stdout.flush()


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


def main(scenario_file: str, store: str, folder: str, *words: str) -> None:
    """Prepare the store, then play."""
    global images  # noqa: PLW0603  # the replaced calls look here; they know no other way
    install(lambda: images)
    spec = importlib.util.spec_from_file_location("scenario", scenario_file)
    assert spec is not None
    assert spec.loader is not None
    scenario = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenario)
    if in_fork(lambda: scenario.prepare(Path(store))) != 0:
        sys.exit("the store could not be prepared")
    images = CrashImages(Path(store), Path(folder), tell)
    scenario.act(Path(store), acknowledge, *words)
    images.take("the end")


if __name__ == "__main__":
    main(*sys.argv[1:])
