"""Threads that begin together: how long they take, and how long each of their operations takes."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from time import perf_counter, perf_counter_ns
from typing import Final, TypeVar

from kvs.bench.histogram import Histogram

T = TypeVar("T")

PART: Final = 100
"""Keys that are read before somebody looks whether it is time to end."""


def shares(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """Cut items into so many parts of about the same size.

    >>> shares("abcdefg", 3)
    ['abc', 'de', 'fg']
    """
    size, rest = divmod(len(items), count)
    ends = [(number + 1) * size + min(number + 1, rest) for number in range(count)]
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def seconds_of(jobs: Sequence[Callable[[], object]]) -> float:
    """Run jobs, each in a thread of its own unless there is but one, and return the seconds from first to last.

    What a job raises is raised here.
    """
    if len(jobs) == 1:
        start = perf_counter()
        jobs[0]()
        return perf_counter() - start
    gate = threading.Barrier(len(jobs) + 1)

    def run(job: Callable[[], object]) -> None:
        gate.wait()
        job()

    with ThreadPoolExecutor(len(jobs)) as crowd:
        running = [crowd.submit(run, job) for job in jobs]
        gate.wait()
        start = perf_counter()
        for each in running:
            each.result()
        return perf_counter() - start


def timed(deed: Callable[..., object], inputs: Iterable[tuple[object, ...]]) -> Histogram:
    """Do something with each input, and return how long each took, the reading of the clock included."""
    clock = perf_counter_ns
    stamps = [clock()]
    add = stamps.append
    for given in inputs:
        deed(*given)
        add(clock())
    return Histogram.between(stamps)


def timed_in_threads(deed: Callable[..., object], inputs: Sequence[tuple[object, ...]], threads: int) -> Histogram:
    """Return the same of several threads that share the inputs."""
    found: list[Histogram] = []
    seconds_of([lambda part=part: found.append(timed(deed, part)) for part in shares(inputs, threads)])  # type: ignore[misc]  # mypy cannot infer a lambda's default
    whole = Histogram()
    for each in found:
        whole.merge(each)
    return whole


def read_beside(
    get: Callable[[bytes], object], keys: Sequence[bytes], work: Callable[[], object]
) -> tuple[float, Histogram]:
    """Read keys, over and over, while a thread does some work, and at least once.

    Returns:
        Reads a second, and the times from each read to the next.
    """
    clock = perf_counter_ns
    parts = cycle([keys[start : start + PART] for start in range(0, len(keys), PART)])
    with ThreadPoolExecutor(1) as crowd:
        stamps = [clock()]
        add = stamps.append
        working = crowd.submit(work)
        while True:
            for key in next(parts):
                get(key)
                add(clock())
            if working.done():
                break
        working.result()
    return (len(stamps) - 1) * 1e9 / (stamps[-1] - stamps[0]), Histogram.between(stamps)
