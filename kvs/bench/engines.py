"""The stores beside each other: every workload, for each size of values and each number of threads."""

import os
import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from rich.console import Console

from kvs.bench import growth, report
from kvs.bench.contenders import Contender, our_engines
from kvs.bench.peers import contenders
from kvs.bench.rounds import order, setting, summary
from kvs.bench.turn import Measure, Turn
from kvs.bench.workloads import Workload, make_pairs

Case: TypeAlias = tuple[int, int]
"""The size of the values, and the number of threads."""
Step: TypeAlias = tuple[Case, type[Contender]]
Steps = Callable[[Sequence[Step]], Iterable[Step]]
"""Passes on what comes next, one after the other; so progress can be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Args:
        keys: in each turn.
        rounds: how many; the stores take turns in each.
        sizes: of the values, in bytes.
        threads: how many share the operations.
        workloads: by name.
        stores: who is measured; the others are compared with the first.
        growth_keys: of the store whose opening and memory are measured; 0 to leave that out.
        seed: of keys, values and operations.
    """

    keys: int
    rounds: int
    sizes: Sequence[int]
    threads: Sequence[int]
    workloads: Sequence[str]
    stores: Sequence[type[Contender]]
    growth_keys: int
    seed: int


def measure(plan: Plan, steps: Steps = iter) -> dict[str, Any]:
    """Measure, and return every figure with where it was taken. Leaves nothing behind."""
    cases = [(size, count) for size in plan.sizes for count in plan.threads]
    measured: dict[Case, dict[str, list[dict[str, Measure]]]] = {
        case: {make.label: [] for make in plan.stores} for case in cases
    }
    todo = [(case, make) for case in cases for make in order(plan.stores, plan.rounds)]
    data: dict[int, Workload] = {}
    for (size, threads), make in steps(todo):
        if size not in data:
            data = {size: Workload.make(plan.keys, size, plan.seed)}  # the last size's is let go of
        with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
            turn = Turn(make, data[size], os.path.join(directory, "turn"), threads)
            measured[size, threads][make.label].append(turn.run(plan.workloads))
    base = plan.stores[0].label
    figures: dict[str, Any] = {
        **setting(),
        "versions": contenders()[1],
        "keys": plan.keys,
        "rounds": plan.rounds,
        "seed": plan.seed,
        "base": base,
        "cases": [
            {"value_bytes": size, "threads": threads, "stores": summary(rounds, base)}
            for (size, threads), rounds in measured.items()
        ],
    }
    if plan.growth_keys:
        figures["growth"] = _grown(plan)
    return figures


def _grown(plan: Plan) -> dict[str, Any]:
    """Measure what a large store of the first of our engines costs."""
    engine = our_engines()[0].engine
    pairs = make_pairs(plan.growth_keys, plan.sizes[0], random.Random(plan.seed))  # noqa: S311  # not secret
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        found = growth.measure(pairs, os.path.join(directory, "store"), engine)
    return {"engine": engine, **asdict(found)}


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print a table for each case, and one of the large store."""
    console.print(f"{figures['python']}, {figures['machine']}", highlight=False)
    for case in figures["cases"]:
        threads = f"{case['threads']} threads" if case["threads"] > 1 else "1 thread"
        rounds = f"{threads}, {figures['rounds']} rounds"
        title = f"{figures['keys']:,} keys, values of {case['value_bytes']:,} bytes, {rounds}"
        report.show(console, case["stores"], title)
    report.explain(console, figures["base"])
    if "growth" in figures:
        found = figures["growth"]
        rows = [
            ("opened with hints", f"{found['open_with_hints'] / 1e6:.2f} M keys a second"),
            ("opened without", f"{found['open_without_hints'] / 1e6:.2f} M records a second"),
            ("memory", f"{found['bytes_per_key']:.0f} bytes a key"),
            ("a dict of the same", f"{found['dict_bytes_per_key']:.0f} bytes a key"),
        ]
        report.show_rows(console, f"A store of {found['keys']:,} keys, engine {found['engine']}", rows)
