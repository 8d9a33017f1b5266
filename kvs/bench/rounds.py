"""The rounds: who is measured takes turns, so that the machine's moods fall on all; and what several rounds come to."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TypeVar

from kvs.bench.turn import Measure

T = TypeVar("T")

Rounds = Mapping[str, Sequence[Mapping[str, Measure]]]
"""For each contender by its label, what each round measured, by workload."""


def order(items: Sequence[T], rounds: int) -> list[T]:
    """Return whose turn it is, turn by turn. In each round another one begins: who comes last shall not be the same.

    >>> "".join(order("abc", 3))
    'abcbcacab'
    """
    count = len(items)
    return [items[(number + place) % count] for number in range(rounds) for place in range(count)]


def summary(rounds: Rounds, base: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return what the rounds come to: for each contender and workload the figures by name.

    A ratio is that of a contender's rate to the base's. It is taken within each round, where the machine is in about
    the same mood, and what is told is the median of these ratios, not the ratio of the medians.
    """
    return {
        label: {name: _figures(measured, rounds.get(base, ()), name) for name in (measured[0] if measured else ())}
        for label, measured in rounds.items()
    }


def _figures(
    measured: Sequence[Mapping[str, Measure]], beside: Sequence[Mapping[str, Measure]], name: str
) -> dict[str, float]:
    """Return the figures of one contender in one workload."""
    rates = [each[name].per_second for each in measured]
    figures = {"median": median(rates), "min": min(rates), "max": max(rates)}
    if beside and name in beside[0]:
        figures["ratio"] = median(ours / other[name].per_second for ours, other in zip(rates, beside, strict=True))
    times = [found for each in measured if (found := each[name].times) is not None and found.count]
    if times:
        figures |= {
            f"{words}_us": median(found.percentile(share) for found in times) / 1000
            for words, share in (("p50", 0.50), ("p99", 0.99), ("p999", 0.999))
        }
        figures["longest_us"] = median(found.longest_ns for found in times) / 1000
    return figures


def has_gil() -> bool:
    """Tell whether only one thread at a time runs Python here."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def setting() -> dict[str, str]:
    """Return where this was measured: which Python, and which machine."""
    python = f"{platform.python_implementation()} {platform.python_version()}{'' if has_gil() else ', free-threaded'}"
    return {"python": python, "machine": f"{platform.platform()}, {os.cpu_count()} CPUs"}
