"""Kills: a writer that acknowledges on a pipe is killed with SIGKILL, over and over, and its store reopened.

    python -m support.crash.kills DIRECTORY SEED CYCLES

Each cycle forks a writer that goes on where the last one was stopped, lets it acknowledge a while, kills it in the
middle of whatever it does, and reopens the store without any help. The contents must be those after the last
acknowledged write, or after the one that was under way. Prints one line of JSON.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

from kvs.log.store import LogEngine
from support.crash import tested
from support.crash.run import Model
from support.crash.workload import MODES

KEYS: Final = 40
DEADLINE_S: Final = 30.0


def batch_of(number: int) -> dict[bytes, bytes | None]:
    """Return the n-th write: mostly one value, sometimes a removal, sometimes several keys at once."""
    rng = Random(number)
    size = 4 if number % 9 == 0 else 1
    keys = rng.sample(range(KEYS), size)
    return {
        b"key-%d" % key: None if rng.random() < 0.2 else b"%d:" % number + rng.randbytes(rng.randint(0, 300))
        for key in keys
    }


def open_store(directory: Path, number: int) -> LogEngine:
    """Open the store for the n-th cycle; modes and sizes change from one to the next."""
    return tested.engine_class().open(
        directory,
        sync=MODES[number % 3],
        sync_interval_s=0.005,
        segment_bytes=[4_000, 20_000, 100_000][number // 3 % 3],
        compact_dead_bytes=[10_000, 60_000][number % 2],
    )


def write_on(directory: Path, cycle: int, first: int, pipe: int) -> None:
    """Write without end, beginning with the n-th write; acknowledge each with a byte."""
    store = open_store(directory, cycle)
    os.write(pipe, b".")  # the store is open
    number = first
    while True:
        store.write(batch_of(number).items())
        os.write(pipe, b".")
        number += 1


def run_until_killed(directory: Path, cycle: int, first: int, rng: Random) -> int:
    """Fork a writer, kill it in mid-work, and return how many writes it had acknowledged."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            write_on(directory, cycle, first, writing)
        finally:
            os._exit(1)
    os.close(writing)
    wanted = rng.randint(1, 150)
    acknowledged = 0
    deadline = time.monotonic() + DEADLINE_S
    while acknowledged < wanted and time.monotonic() < deadline:
        got = len(os.read(reading, 64))
        acknowledged += got
        if got == 0:
            break
    for _ in range(rng.randint(0, 2_000)):  # some part of a millisecond, for the kill to come anywhere
        pass
    os.kill(pid, signal.SIGKILL)
    while chunk := os.read(reading, 65_536):
        acknowledged += len(chunk)
    os.close(reading)
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status):
        raise AssertionError(f"cycle {cycle}: the writer ended by itself")
    return acknowledged - 1  # the first byte said that the store was open


def apply(model: Model, number: int) -> None:
    """Let the model do the n-th write."""
    for key, value in batch_of(number).items():
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


def main(directory: str, seed: str, cycles: str) -> None:
    """Kill so many writers."""
    rng = Random(int(seed))
    root = Path(directory)
    model: Model = {}
    done = 0  # writes that the model has made
    slowest_s = 0.0
    violations: list[str] = []
    for cycle in range(int(cycles)):
        acknowledged = run_until_killed(root, cycle, done, rng)
        for number in range(done, done + acknowledged):
            apply(model, number)
        done += acknowledged
        began = time.monotonic()
        with open_store(root, cycle + 1) as store:
            slowest_s = max(slowest_s, time.monotonic() - began)
            found = dict(store.items())
        if found != model:
            apply(model, done)  # the write that was under way
            done += 1
            if found != model:
                violations.append(f"cycle {cycle}: {len(found)} keys, not those after write {done - 1} or {done}")
                break
    told = {"kills": int(cycles), "acknowledged": done, "violations": violations, "slowest_open_s": round(slowest_s, 3)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
