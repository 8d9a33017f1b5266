"""The rounds: every server in turn, under the same loads, so that the machine's moods fall on all of them."""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from kvs.bench.server_contenders import Contender, serving
from kvs.bench.server_generators import Generator
from kvs.bench.server_load import Load, Rate

Measured = dict[str, list[dict[str, Rate]]]
"""For each contender, what each round measured: rates by kind, such as "set 16": SET, sixteen deep."""
Turns = Callable[[Sequence[Contender]], Iterable[Contender]]
"""Passes on whose turn it is, one after the other; so progress can be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Args:
        contenders: who; the others are compared with the first.
        loads: what each is asked in its turn, one load after the other.
        engine, sync: of the stores behind them.
        rounds: how many times.
    """

    contenders: Sequence[Contender]
    loads: Sequence[Load]
    engine: str
    sync: str | None
    rounds: int


def measure(plan: Plan, generate: Generator, turns: Turns = iter) -> Measured:
    """Measure. Each turn has a new process, an empty store, and a directory that is removed after it.

    In each round another one begins: what comes late in a round shall not always be the same.
    """
    measured: Measured = {each.label: [] for each in plan.contenders}
    for contender in turns(_order(plan)):
        rates: dict[str, Rate] = {}
        with (
            tempfile.TemporaryDirectory(prefix="kvs-bench-server-") as directory,
            serving(contender, plan.engine, plan.sync, directory) as address,
        ):
            for load in plan.loads:
                found = generate(address, load)
                rates |= {f"{kind} {load.pipeline}": rate for kind, rate in found.items()}
        measured[contender.label].append(rates)
    return measured


def _order(plan: Plan) -> list[Contender]:
    """Return whose turn it is, turn by turn."""
    count = len(plan.contenders)
    return [plan.contenders[(number + place) % count] for number in range(plan.rounds) for place in range(count)]


def summary(plan: Plan, measured: Measured, generator: str) -> dict[str, Any]:
    """Return every figure that the table shows, and how and where they were measured.

    A ratio is the median of the rounds' own ratios: within a round the machine is in about the same mood.
    """
    first = measured[plan.contenders[0].label]
    return {
        "python": python(),
        "machine": f"{platform.platform()}, {os.cpu_count()} CPUs",
        "generator": generator,
        "engine": plan.engine,
        "sync": plan.sync,
        "rounds": plan.rounds,
        "loads": [asdict(load) for load in plan.loads],
        "servers": {
            label: {
                kind: _figures([each[kind] for each in rounds], [each[kind] for each in first]) for kind in first[0]
            }
            for label, rounds in measured.items()
        },
    }


def _figures(rates: Sequence[Rate], beside: Sequence[Rate]) -> dict[str, float]:
    """Return what several rounds come to, beside those of the first contender."""
    each = [rate.per_second for rate in rates]
    return {
        "median": median(each),
        "min": min(each),
        "max": max(each),
        "ratio": median(ours.per_second / other.per_second for ours, other in zip(rates, beside, strict=True)),
        "p50_ms": median(rate.p50_ms for rate in rates),
        "p99_ms": median(rate.p99_ms for rate in rates),
    }


def python() -> str:
    """Return which Python this is."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return f"{platform.python_implementation()} {platform.python_version()}{'' if has_gil else ', free-threaded'}"
