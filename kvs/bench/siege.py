"""A siege: readers at work on a store while a writer writes without a pause, and a compaction runs."""

import random
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter, perf_counter_ns, sleep
from typing import Final

import kvs
from kvs.bench.crowd import PART
from kvs.bench.histogram import Histogram
from kvs.bench.workloads import make_pairs
from kvs.engine import Engine

NEVER: Final = 1 << 60
"""So many bytes are never dead: the engine begins no compaction of its own beside the one that is looked at."""
FEW: Final = 10
"""Operations of the writer between looks at whether it is time to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What happens at the same time.

    Args:
        engine: by name.
        readers: how many threads read random keys.
        has_writer: whether a thread replaces random values.
        has_compaction: whether a compaction begins with them.
        seconds: how long it takes at least; it ends no earlier than the compaction.
    """

    engine: str
    readers: int
    has_writer: bool = False
    has_compaction: bool = False
    seconds: float = 1.0


@dataclass(slots=True)
class Toll:
    """What came of it.

    Args:
        reads, writes: a second, of all threads together.
        times: from each read to the next, in the same thread: what a reader waits, whatever it waits for.
        compaction_s: how long the compaction took.
    """

    reads: float = 0.0
    writes: float = 0.0
    times: Histogram = field(default_factory=Histogram)
    compaction_s: float = 0.0


def lay(scene: Scene, keys: int, value_bytes: int, seed: int) -> Toll:
    """Make a store of which half is dead, and do to it what the scene says."""
    rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
    pairs = make_pairs(keys, value_bytes, rng)
    with (
        tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory,
        kvs.open(directory, scene.engine, compact_dead_bytes=NEVER) as store,
    ):
        for _ in range(2):
            for pair in pairs:
                store.set(*pair)
        return _play(store, scene, pairs, rng)


def _play(store: Engine, scene: Scene, pairs: list[tuple[bytes, bytes]], rng: random.Random) -> Toll:
    """Begin everything together, and end it together."""
    toll = Toll()
    ended = threading.Event()
    keys = [key for key, _ in pairs]
    stamps: list[list[int]] = [[] for _ in range(scene.readers)]
    jobs = [_reader(store, rng.sample(keys, len(keys)), ended, each) for each in stamps]
    if scene.has_writer:
        jobs.append(_writer(store, rng.sample(pairs, len(pairs)), ended, toll))
    with ThreadPoolExecutor(len(jobs) + 1) as crowd:
        try:
            working = [crowd.submit(job) for job in jobs]
            if scene.has_compaction:
                begun = perf_counter()
                crowd.submit(store.compact).result()
                toll.compaction_s = perf_counter() - begun
            sleep(max(0.0, scene.seconds - toll.compaction_s))
        finally:
            ended.set()
        for each in working:
            each.result()
    for read_at in stamps:
        times = Histogram.between(read_at)
        toll.times.merge(times)
        toll.reads += times.count * 1e9 / (read_at[-1] - read_at[0])
    return toll


def _reader(store: Engine, keys: Sequence[bytes], ended: threading.Event, stamps: list[int]) -> Callable[[], None]:
    """Return a job that reads until the end, and leaves the time of each read.

    What the times come to is reckoned when all have ended: a reader that did it by itself would hold up the others.
    """
    parts = cycle([keys[start : start + PART] for start in range(0, len(keys), PART)])

    def read() -> None:
        get, clock, add = store.get, perf_counter_ns, stamps.append
        add(clock())
        while not ended.is_set():
            for key in next(parts):
                get(key)
                add(clock())

    return read


def _writer(
    store: Engine, pairs: Sequence[tuple[bytes, bytes]], ended: threading.Event, toll: Toll
) -> Callable[[], None]:
    parts = cycle([pairs[start : start + FEW] for start in range(0, len(pairs), FEW)])

    def write() -> None:
        put, count = store.set, 0
        begun = perf_counter()
        while not ended.is_set():
            for pair in next(parts):
                put(*pair)
            count += FEW
        toll.writes = count / (perf_counter() - begun)

    return write
