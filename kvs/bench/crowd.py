"""Threads that begin together: how long they take, and how long each of their operations takes."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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


def timed(deed: Callable[..., object], inputs: Sequence[tuple[object, ...]], threads: int = 1) -> Histogram:
    """Do something with each input, threads sharing them; return how long each took, the clock's reading included.

    What the times come to is reckoned when all have ended: a thread that did it by itself would hold up the others.
    """
    stamps: list[list[int]] = [[] for _ in range(threads)]
    parts = shares(inputs, threads)
    seconds_of([partial(_time, deed, *each) for each in zip(parts, stamps, strict=True)])
    whole = Histogram()
    for each in stamps:
        whole.merge(Histogram.between(each))
    return whole


def _time(deed: Callable[..., object], inputs: Iterable[tuple[object, ...]], stamps: list[int]) -> None:
    """Do something with each input, and note the time before, between and after."""
    clock, add = perf_counter_ns, stamps.append
    add(clock())
    for given in inputs:
        deed(*given)
        add(clock())


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
