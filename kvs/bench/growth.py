"""What a large store costs: opening it, with hints and without, and the memory that its keys take."""

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from kvs.log.store import LogEngine


@dataclass(frozen=True, slots=True)
class Growth:
    """What was measured on a store of many keys.

    Args:
        keys: how many.
        open_with_hints: keys a second, after a clean close.
        open_without_hints: records a second, when every record must be read.
        bytes_per_key: what the open store's index takes, keys included.
        dict_bytes_per_key: what a plain dict takes of the same keys to ints.
    """

    keys: int
    open_with_hints: float
    open_without_hints: float
    bytes_per_key: float
    dict_bytes_per_key: float


def measure(pairs: list[tuple[bytes, bytes]], directory: Path) -> Growth:
    """Fill a store, then open it in each way."""
    with LogEngine.open(directory) as store:
        for start in range(0, len(pairs), 10_000):
            store.update(pairs[start : start + 10_000])
    with_hints = _open_seconds(directory)
    for hint in directory.glob("*.hint"):
        hint.unlink()
    without_hints = _open_seconds(directory)
    with LogEngine.open(directory):
        pass
    store_bytes = _traced_bytes(lambda: LogEngine.open(directory, flag="r"))
    dict_bytes = _traced_bytes(lambda: {bytes(bytearray(key)): place << 10 for place, (key, _) in enumerate(pairs)})
    count = len(pairs)
    return Growth(count, count / with_hints, count / without_hints, store_bytes / count, dict_bytes / count)


def _open_seconds(directory: Path) -> float:
    gc.collect()
    start = perf_counter()
    store = LogEngine.open(directory, flag="r")
    seconds = perf_counter() - start
    store.close()
    return seconds


def _traced_bytes(make: Callable[[], object]) -> int:
    """Return how many bytes are still allocated once something is made."""
    gc.collect()
    tracemalloc.start()
    made = make()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return size
