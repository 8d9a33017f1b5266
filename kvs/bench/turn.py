"""A turn: one contender put through the workloads once, in an empty directory."""

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeVar

from kvs.bench.contenders import Contender, Kvs
from kvs.bench.crowd import read_beside, seconds_of, shares, timed
from kvs.bench.histogram import Histogram
from kvs.bench.workloads import Workload
from kvs.engine import Op

T = TypeVar("T")

BATCH: Final = 10_000
SAMPLE: Final = 20_000
"""Operations whose times are taken one by one, after those that are timed as a whole: reading a clock costs time."""
SCAN_LIMIT: Final = 1_000
SCANS: Final = 20


@dataclass(frozen=True, slots=True)
class Measure:
    """What came out of one workload.

    Args:
        per_second: operations; of scans and openings, keys.
        times: how long single ones took, where that was taken.
    """

    per_second: float
    times: Histogram | None = None


class Turn:
    """One contender's turn.

    Args:
        make: the contender.
        workload: the data.
        directory: an empty one.
        threads: how many share the operations.
    """

    def __init__(self, make: type[Contender], workload: Workload, directory: str, threads: int = 1) -> None:
        self._make = make
        self._workload = workload
        self._count = len(workload.pairs)
        self._directory = directory
        self._threads = threads

    def run(self, names: Iterable[str]) -> dict[str, Measure]:
        """Run workloads in the order of WORKLOADS; those that make no sense for this contender are left out."""
        wanted = set(names)
        found: dict[str, Measure] = {}
        os.mkdir(self._directory)
        self._store = self._make(os.path.join(self._directory, "store"))
        try:
            if "set" not in wanted:
                self._load(self._store)
            for name, workload in WORKLOADS.items():
                if name in wanted and (measure := workload(self)) is not None:
                    found[name] = measure
        finally:
            self._store.close()
        return found

    def _shared(self, deed: Callable[[Sequence[T]], object], items: Sequence[T]) -> float:
        """Return items a second, the threads sharing them."""
        jobs = [lambda part=part: deed(part) for part in shares(items, self._threads)]
        return len(items) / seconds_of(jobs)

    def _times(self, deed: Callable[..., object], inputs: Sequence[tuple[object, ...]]) -> Histogram:
        return timed(deed, inputs[:SAMPLE], self._threads)

    def set(self) -> Measure:
        """Store pairs one by one."""
        pairs = self._workload.pairs
        return Measure(self._shared(self._store.set_each, pairs), self._times(self._store.set_one, pairs))

    def load(self) -> Measure:
        """Store pairs in batches, in another empty directory. By one thread."""
        other = self._make(os.path.join(self._directory, "loaded"))
        try:
            return Measure(self._count / seconds_of([lambda: self._load(other)]))
        finally:
            other.close()

    def _load(self, store: Contender) -> None:
        pairs = self._workload.pairs
        for start in range(0, self._count, BATCH):
            store.load(pairs[start : start + BATCH])

    def get(self) -> Measure:
        """Read every key once, in random order."""
        return self._read(self._workload.shuffled)

    def get_zipf(self) -> Measure:
        """Read some keys often, and most seldom."""
        return self._read(self._workload.zipf)

    def _read(self, keys: list[bytes]) -> Measure:
        return Measure(
            self._shared(self._store.get_each, keys),
            self._times(self._store.get_one, [(key,) for key in keys[:SAMPLE]]),
        )

    def mostly_reads(self) -> Measure:
        """Of 100 operations 95 read and 5 write."""
        return self._mix(self._workload.mostly_reads)

    def half_reads(self) -> Measure:
        """Of 100 operations 50 read and 50 write."""
        return self._mix(self._workload.half_reads)

    def _mix(self, ops: list[Op]) -> Measure:
        get, store = self._store.get_one, self._store.set_one

        def do(key: bytes, value: bytes | None) -> None:
            if value is None:
                get(key)
            else:
                store(key, value)

        return Measure(self._shared(self._store.mix_each, ops), self._times(do, ops))

    def scan(self) -> Measure:
        """Walk 1,000 entries in key order from a random key on, several times. By one thread."""
        starts = sorted(self._workload.shuffled)[: max(1, self._count - SCAN_LIMIT)]
        starts = starts[:: -(-len(starts) // SCANS)]
        self._store.scan_from(starts[0], 1)  # whatever a store does once before it can scan
        walked = 0
        begun = perf_counter()
        for start in starts:
            walked += len(self._store.scan_from(start, SCAN_LIMIT))
        return Measure(walked / (perf_counter() - begun))

    def get_compacting(self) -> Measure | None:
        """Read beside a compaction, after half of the values were replaced. By one thread. Engines of ours only."""
        if not isinstance(self._store, Kvs):
            return None
        self._store.set_each(self._workload.pairs[::2])
        return Measure(*read_beside(self._store.get_one, self._workload.shuffled, self._store.store.compact))

    def reopen(self) -> Measure | None:
        """Open the store after a clean close, from its hint files."""
        return self._opened() if isinstance(self._store, Kvs) and self._store.has_hints else None

    def reopen_bare(self) -> Measure | None:
        """Open it without hint files: every record is read."""
        return self._opened(without="*.hint") if isinstance(self._store, Kvs) and self._store.has_hints else None

    def _opened(self, without: str = "") -> Measure:
        """Close the store and open it again; return keys a second."""
        self._store.close()
        directory = os.path.join(self._directory, "store")
        for path in glob.glob(os.path.join(glob.escape(directory), without)) if without else ():
            os.unlink(path)
        begun = perf_counter()
        self._store = self._make(directory)
        return Measure(self._count / (perf_counter() - begun))

    def delete(self) -> Measure:
        """Remove every key: first some whose times are taken, then the others."""
        keys = self._workload.shuffled
        first = min(self._count // 5, SAMPLE)
        times = self._times(self._store.remove_one, [(key,) for key in keys[:first]]) if first else None
        return Measure(self._shared(self._store.remove_each, keys[first:]), times)


WORKLOADS: Final[dict[str, Callable[[Turn], Measure | None]]] = {
    "set": Turn.set,
    "load": Turn.load,
    "get": Turn.get,
    "get-zipf": Turn.get_zipf,
    "mixed-95-5": Turn.mostly_reads,
    "mixed-50-50": Turn.half_reads,
    "scan": Turn.scan,
    "get-compacting": Turn.get_compacting,
    "reopen": Turn.reopen,
    "reopen-bare": Turn.reopen_bare,
    "delete": Turn.delete,
}
"""The workloads by name, in the order in which they are run: each finds the store as the one before left it."""
