"""What a large store costs: opening it, with hints and without, and the memory that its keys take."""

import gc
import glob
import os
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import kvs

BATCH = 10_000


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


def fill(pairs: Sequence[tuple[bytes, bytes]], directory: str, engine: str) -> None:
    """Make a store of these pairs, and close it."""
    with kvs.open(directory, engine) as store:
        for start in range(0, len(pairs), BATCH):
            store.update(pairs[start : start + BATCH])


def measure(pairs: Sequence[tuple[bytes, bytes]], directory: str, engine: str) -> Growth:
    """Fill a store, then open it in each way."""
    fill(pairs, directory, engine)
    count = len(pairs)
    per_key, per_key_in_dict = bytes_per_key(pairs, directory, engine)
    with_hints = count / open_seconds(directory, engine)
    forget_hints(directory)
    return Growth(count, with_hints, count / open_seconds(directory, engine), per_key, per_key_in_dict)


def forget_hints(directory: str) -> None:
    """Take a store's hint files away, so that the next opening has to read every record."""
    for hint in glob.glob(os.path.join(glob.escape(directory), "*.hint")):
        os.unlink(hint)


def open_seconds(directory: str, engine: str) -> float:
    """Return how long an opening takes, to read only: so it leaves everything as it was."""
    gc.collect()
    start = perf_counter()
    store = kvs.open(directory, engine, flag="r")
    seconds = perf_counter() - start
    store.close()
    return seconds


def bytes_per_key(pairs: Sequence[tuple[bytes, bytes]], directory: str, engine: str) -> tuple[float, float]:
    """Return what a key takes of the memory of an open store, and of a dict of the same keys to ints as large."""
    in_store = _traced_bytes(lambda: kvs.open(directory, engine, flag="r"))
    in_dict = _traced_bytes(lambda: {bytes(bytearray(key)): place << 40 for place, (key, _) in enumerate(pairs, 1)})
    return in_store / len(pairs), in_dict / len(pairs)


def _traced_bytes(make: Callable[[], object]) -> int:
    """Return how many bytes are still allocated once something is made."""
    gc.collect()
    tracemalloc.start()
    made = make()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if isinstance(made, kvs.Engine):
        made.close()
    return size
