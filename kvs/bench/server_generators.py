"""Load generators: programs that put a load on a server from a process of their own, and say what they measured."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

import kvs
from kvs.bench.server_load import Load, Rate
from kvs.errors import KvsError

Generator = Callable[[str, Load], dict[str, Rate]]
"""Puts a load on the server at an address, HOST:PORT, and returns the rate of each kind of command."""

DEADLINE_S: Final = 600.0
"""A load that takes longer is ended: with fewer requests it would tell as much."""
REDIS_BENCHMARK: Final = "redis-benchmark"
OWN: Final = "own"


class BenchError(KvsError):
    """Something could not be measured. The message says what, and what the program that failed had to say."""


def run_redis_benchmark(address: str, load: Load) -> dict[str, Rate]:
    """Put the load on by redis-benchmark."""
    host, _, port = address.rpartition(":")
    words = {
        "-h": host,
        "-p": port,
        "-t": "set,get",
        "-c": load.clients,
        "-n": load.requests,
        "-P": load.pipeline,
        "-d": load.value_bytes,
        "-r": load.keys,
    }
    said = _run([REDIS_BENCHMARK, *(str(part) for pair in words.items() for part in pair), "-e", "--csv"])
    return _rates(said)


def _rates(said: str) -> dict[str, Rate]:
    """Return the rates in redis-benchmark's CSV.

    Raises:
        BenchError: it is something else, such as the errors that the server answered.
    """
    lines = said.splitlines()
    rows = list(csv.DictReader(lines[lines.index(_HEAD) :])) if _HEAD in lines else []
    if [row["test"] for row in rows] != ["SET", "GET"] or len(lines) != 3:
        raise BenchError(f"{REDIS_BENCHMARK} said: {said.strip()[:300]}")
    return {
        row["test"].lower(): Rate(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))
        for row in rows
    }


_HEAD: Final = ",".join(
    f'"{name}"'
    for name in (
        *("test", "rps", "avg_latency_ms", "min_latency_ms"),
        *("p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "max_latency_ms"),
    )
)


def run_own(address: str, load: Load) -> dict[str, Rate]:
    """Put the load on by kvs/bench/server_load.py."""
    host, _, port = address.rpartition(":")
    task = json.dumps([host, int(port), asdict(load)])
    said = _run([sys.executable, "-P", "-m", "kvs.bench.server_load", task])
    return {kind: Rate(**facts) for kind, facts in json.loads(said).items()}


def _run(command: Sequence[str]) -> str:
    """Run a program to its end, in a session of its own so that Ctrl-C is ours to answer; return what it printed.

    Raises:
        BenchError: it failed, or took too long.
    """
    try:
        ended = subprocess.run(  # noqa: S603  # which program it is, is written above
            command,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=DEADLINE_S,
            start_new_session=True,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"a load took longer than {DEADLINE_S:.0f} s; ask for fewer requests") from None
    if ended.returncode:
        raise BenchError(f"{os.path.basename(command[0])} failed: {last_line(ended.stderr or ended.stdout)}")
    return ended.stdout


def environment() -> dict[str, str]:
    """Return our variables, changed so that a child finds the package that we are."""
    home = os.path.dirname(os.path.dirname(kvs.__file__))
    known = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": home + (os.pathsep + known if known else "")}


def last_line(said: str) -> str:
    """Return the last line of what a program said, which of a traceback is the one that tells."""
    return next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")


def generator(name: str) -> tuple[str, Generator]:
    """Return the load generator of a name, and its own name; "auto" is redis-benchmark where it is installed.

    Raises:
        BenchError: it is not installed.
    """
    is_there = shutil.which(REDIS_BENCHMARK) is not None
    if name == REDIS_BENCHMARK and not is_there:
        raise BenchError(f"{REDIS_BENCHMARK} is not installed; it comes with Redis")
    if name != OWN and is_there:
        return REDIS_BENCHMARK, run_redis_benchmark
    return OWN, run_own
