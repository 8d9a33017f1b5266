"""What is measured: the same keys and values for everybody, made from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from kvs.bench.contenders import Contender

SCAN_LIMIT: Final = 1_000
SCANS: Final = 20


@dataclass(frozen=True, slots=True)
class Workload:
    """The data of a run.

    Args:
        pairs: random keys of one size, random values of another, in random order.
        shuffled: the same keys in another order.
    """

    pairs: list[tuple[bytes, bytes]]
    shuffled: list[bytes]

    @classmethod
    def make(cls, count: int, value_bytes: int, seed: int) -> "Workload":
        """Make a workload: 16-byte keys, as in other stores' benchmarks."""
        rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
        pairs = [(rng.randbytes(16), rng.randbytes(value_bytes)) for _ in range(count)]
        shuffled = [key for key, _ in pairs]
        rng.shuffle(shuffled)
        return cls(pairs, shuffled)


def run(make: type[Contender], workload: Workload, directory: str, bulk_directory: str) -> dict[str, float]:
    """Put one contender through everything once, in two empty directories.

    Returns:
        Operations a second of each kind.
    """
    count = len(workload.pairs)
    store = make(directory)
    rates = {"set": count / _seconds(lambda: store.set_each(workload.pairs))}
    rates["get"] = count / _seconds(lambda: store.get_each(workload.shuffled))
    store.first(1)  # whatever a store does once before it can scan
    scanned = min(count, SCAN_LIMIT)
    rates["scan"] = SCANS * scanned / _seconds(lambda: [store.first(SCAN_LIMIT) for _ in range(SCANS)])
    store.close()
    bulk = make(bulk_directory)
    rates["load"] = count / _seconds(lambda: bulk.load(workload.pairs))
    bulk.close()
    return rates


def _seconds(deed: Callable[[], object]) -> float:
    """Return how long it takes to do something."""
    start = perf_counter()
    deed()
    return perf_counter() - start
