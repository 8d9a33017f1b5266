"""The attempts at the goals: one function for each group, which measures it once."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Final

import kvs
from kvs.bench import growth
from kvs.bench.contenders import Contender, KvsLockFree
from kvs.bench.peers import contenders
from kvs.bench.siege import Scene, lay
from kvs.bench.turn import Turn
from kvs.bench.workloads import Workload, make_pairs

ENGINE: Final = "lockfree"
FEW: Final = 10_000
"""The keys of the small store that a large one is held against."""
SOME: Final = 20_000
"""Operations on each of the two: few enough for no compaction to begin."""
SIEGE_KEYS: Final = 50_000
STARTS: Final = 3

Found = dict[str, float]
"""What one attempt measured, by the goal's name."""


def beside_peers(workload: Workload, makers: Sequence[type[Contender]]) -> Found:
    """Measure sets, gets, loads and scans of our engine and of the peers that are there, in this order of turns."""
    rates: dict[str, Mapping[str, float]] = {}
    for make in makers:
        with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
            found = Turn(make, workload, os.path.join(directory, "turn")).run(["set", "get", "load", "scan"])
        rates[make.label] = {name: each.per_second for name, each in found.items()}
    ours = rates.pop(KvsLockFree.label)
    result = {"update, beside own set": ours["load"] / ours["set"]}
    result["import, beside own set"] = _import_rate(workload.pairs) / ours["set"]
    for peer, theirs in rates.items():
        result[f"set, beside {peer}"] = ours["set"] / theirs["set"]
        result[f"get, beside {peer}"] = ours["get"] / theirs["get"]
    lmdb = [theirs for peer, theirs in rates.items() if "LMDB" in peer]
    if lmdb:
        result["get, beside LMDB"] = ours["get"] / max(theirs["get"] for theirs in lmdb)
        result["scan of 1,000, beside LMDB"] = ours["scan"] / max(theirs["scan"] for theirs in lmdb)
    return result


def peers() -> list[type[Contender]]:
    """Return our engine and the peers that are installed."""
    return [KvsLockFree, *(make for make in contenders()[0] if make.label not in kvs.engine_names())]


def _import_rate(pairs: Sequence[tuple[bytes, bytes]]) -> float:
    """Return pairs a second of a `kvs import`, the start of Python included."""
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        source = os.path.join(directory, "pairs.tsv")
        with open(source, "wb") as file:
            lines = (f"{key.hex()}\t{value.hex()[: len(value)]}\n".encode() for key, value in pairs)
            file.writelines(lines)
        seconds = _run_seconds("-m", "kvs", "import", source, "--dir", os.path.join(directory, "store"))
    return len(pairs) / seconds


def _run_seconds(*words: str) -> float:
    """Return how long a Python process takes, from start to end."""
    start = perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, timeout=600)  # noqa: S603  # our own
    return perf_counter() - start


class Large:
    """Stores of many and of few keys, which are made once and looked at in each round.

    Args:
        directory: an empty one.
        keys: how many are many.
        seed: of the keys.
    """

    def __init__(self, directory: str, keys: int, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self._pairs = make_pairs(keys, 100, self._rng)
        self._few = self._pairs[:FEW]
        self._hinted = os.path.join(directory, "hinted")
        self._bare = os.path.join(directory, "bare")
        self._small = os.path.join(directory, "small")
        growth.fill(self._pairs, self._hinted, ENGINE)
        growth.fill(self._few, self._small, ENGINE)
        shutil.copytree(self._hinted, self._bare)
        growth.forget_hints(self._bare)

    def memory(self) -> Found:
        """Measure what a key takes; once is enough, for it is a count and no time."""
        in_store, in_dict = growth.bytes_per_key(self._pairs, self._hinted, ENGINE)
        return {"memory": in_store, "memory beyond a dict": in_store - in_dict}

    def openings(self) -> Found:
        """Measure openings of the large store."""
        count = len(self._pairs) / 1e6
        return {
            "open from hints": count / growth.open_seconds(self._hinted, ENGINE),
            "open without hints": count / growth.open_seconds(self._bare, ENGINE),
        }

    def costs(self) -> Found:
        """Measure what a set and a get cost in the large store, beside the small one; and what a dict's get does."""
        small = self._costs(self._small, self._few)
        large = self._costs(self._hinted, self._pairs)
        names = ("cost of set at many keys", "cost of get at many keys", "cost of a dict's get at many keys")
        return {name: many / few for name, many, few in zip(names, large, small, strict=True)}

    def _costs(self, directory: str, pairs: Sequence[tuple[bytes, bytes]]) -> tuple[float, float, float]:
        """Return the seconds that some sets and gets take in a store, and some gets in a dict of as many keys."""
        chosen = self._rng.choices(pairs, k=SOME)
        places = {key: place for place, (key, _) in enumerate(pairs)}
        with kvs.open(directory, ENGINE) as store:
            gets = _seconds(lambda: [store.get(key) for key, _ in chosen])
            sets = _seconds(lambda: _set_each(store, chosen))
        return sets, gets, _seconds(lambda: [places.get(key) for key, _ in chosen])


def _set_each(store: kvs.Engine, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    for key, value in pairs:
        store.set(key, value)


def _seconds(deed: Callable[[], object]) -> float:
    start = perf_counter()
    deed()
    return perf_counter() - start


def crowds(seconds: float, seed: int) -> Found:
    """Measure readers beside a writer, and two readers beside one, with our engine and with the big lock."""

    def play(engine: str, readers: int, *, has_writer: bool = False) -> tuple[float, float, float]:
        scene = Scene(engine=engine, readers=readers, has_writer=has_writer, seconds=seconds)
        toll = lay(scene, SIEGE_KEYS, 100, seed)
        return toll.reads, toll.writes, toll.times.percentile(0.99) / 1000

    alone, _, _ = play(ENGINE, 1)
    reads, writes, p99 = play(ENGINE, 1, has_writer=True)
    pair, _, _ = play(ENGINE, 2)
    locked, _, _ = play("log", 1)
    _, _, locked_p99 = play("log", 1, has_writer=True)
    locked_pair, _, _ = play("log", 2)
    return {
        "reader and writer, beside reader": (reads + writes) / alone,
        "reader and writer, no GIL": (reads + writes) / alone,
        "p99 of reads beside a writer": p99,
        "the same, big lock": locked_p99,
        "2 readers, beside 1": pair / alone,
        "2 readers, big lock, beside 1": locked_pair / locked,
    }


def compaction(keys: int, seconds: float, seed: int) -> Found:
    """Measure a reader beside a compaction, and the same reader alone."""
    alone = lay(Scene(engine=ENGINE, readers=1, seconds=seconds), keys, 100, seed)
    beside = lay(Scene(engine=ENGINE, readers=1, has_compaction=True, seconds=0.0), keys, 100, seed)
    locked = lay(Scene(engine="log", readers=1, has_compaction=True, seconds=0.0), keys, 100, seed)
    return {
        "longest pause of a reader alone": alone.times.longest_ns / 1e6,
        "longest pause in compaction": beside.times.longest_ns / 1e6,
        "longest pause in compaction, big lock": locked.times.longest_ns / 1e6,
        "reads in compaction, beside alone": beside.reads / alone.reads,
    }


def start_up() -> Found:
    """Measure `kvs get`, and a Python that does nothing, from start to end: the best of a few of each."""
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        path = os.path.join(directory, "store")
        with kvs.open(path, ENGINE) as store:
            store.set(b"key", b"value")
        ours = min(_run_seconds("-m", "kvs", "get", "key", "--dir", path) for _ in range(STARTS))
    bare = min(_run_seconds("-c", "pass") for _ in range(STARTS))
    return {"kvs get, beside python -c pass": ours / bare}
