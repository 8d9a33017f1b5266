"""kvs bench rust: the workloads of the Rust course that this one goes back to, by name.

    rust-set       100 writes, keys and values of 1 to 100,000 random bytes each
    rust-get       1,000 reads of keys among these
    rust-threads   1,000 unique keys over a server whose pool has 1, 2, 4 … 2 × cores threads

A key here has at most 65,535 bytes, so those that would be longer are that long.
"""
# ruff: noqa: PLC0415  # what measures is imported only to measure

import os
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import typer

import kvs
from kvs.bench.contenders import Contender
from kvs.bench.crowd import seconds_of, shares, timed
from kvs.bench.server_contenders import Contender as Served
from kvs.bench.server_contenders import serving
from kvs.bench.turn import Measure
from kvs.cli.command import Json
from kvs.cli.text import put_line
from kvs.engine import MAX_KEY_BYTES
from kvs.net.client import KvsClient

MOST_BYTES: Final = 100_000
WRITES: Final = 100
READS: Final = 1_000
UNIQUE_KEYS: Final = 1_000
POOLS: Final = ("shared-queue", "executor")
ENGINES: Final = ("lockfree", "sqlite")
VALUE: Final = b"value"


@dataclass(frozen=True, slots=True)
class Data:
    """What is written and read in rust-set and rust-get."""

    pairs: list[tuple[bytes, bytes]]
    reads: list[bytes]

    @classmethod
    def make(cls, seed: int) -> "Data":
        """Make the data from a seed."""
        rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
        pairs = [
            (rng.randbytes(min(rng.randint(1, MOST_BYTES), MAX_KEY_BYTES)), rng.randbytes(rng.randint(1, MOST_BYTES)))
            for _ in range(WRITES)
        ]
        return cls(pairs, [rng.choice(pairs)[0] for _ in range(READS)])


def run_store(make: type[Contender], data: Data) -> dict[str, Measure]:
    """Put a store through rust-set and rust-get once."""
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        store = make(os.path.join(directory, "store"))
        try:
            sets = len(data.pairs) / seconds_of([partial(store.set_each, data.pairs)])
            gets = len(data.reads) / seconds_of([partial(store.get_each, data.reads)])
            times = timed(store.get_one, [(key,) for key in data.reads])
        finally:
            store.close()
    return {"rust-set": Measure(sets), "rust-get": Measure(gets, times)}


def run_server(engine: str, pool: str, threads: int, clients: int) -> dict[str, Measure]:
    """Put a server through rust-threads once: every key is set, then every key is read, and each reply is looked at."""
    keys = [f"key{number:04}".encode() for number in range(UNIQUE_KEYS)]
    served = Served.parse(f"ready:{pool}:{threads}", clients)
    with (
        tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory,
        serving(served, engine, None, directory) as address,
        KvsClient(address) as client,
    ):
        client.get(b"")  # so that the server has served once
        sets = seconds_of([partial(_set_all, client, part) for part in shares(keys, clients)])
        gets = seconds_of([partial(_get_all, client, part) for part in shares(keys, clients)])
    return {"rust-threads set": Measure(len(keys) / sets), "rust-threads get": Measure(len(keys) / gets)}


def _set_all(client: KvsClient, keys: Iterable[bytes]) -> None:
    for key in keys:
        client.set(key, VALUE)


def _get_all(client: KvsClient, keys: Iterable[bytes]) -> None:
    for key in keys:
        if client.get(key) != VALUE:
            raise LookupError(key)


def thread_counts(cores: int) -> list[int]:
    """Return 1, 2, 4 … and twice the cores.

    >>> thread_counts(2), thread_counts(6)
    ([1, 2, 4], [1, 2, 4, 8, 12])
    """
    counts = [1]
    while counts[-1] * 2 < 2 * cores:
        counts.append(counts[-1] * 2)
    return [*counts, 2 * cores]


def _servers() -> list[tuple[str, str, int]]:
    """Return the servers of rust-threads: engine, pool, and threads of that."""
    engines = [engine for engine in ENGINES if engine in kvs.engine_names()]
    counts = thread_counts(os.cpu_count() or 1)
    return [(engine, pool, count) for engine in engines for pool in POOLS for count in counts]


def run(
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds; all take turns in each.")] = 5,
    clients: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Client threads of rust-threads.")] = 8,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the keys and values.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure the workloads of the Rust course: rust-set, rust-get and rust-threads.

    rust-set: 100 writes, keys and values of 1 to 100,000 random bytes; a key here ends at 65,535.

    rust-get: 1,000 reads of these.

    rust-threads: 1,000 unique keys over a server of 1, 2, 4 … 2 × cores threads, for each pool and two engines.
    """
    import json

    from rich.console import Console
    from rich.progress import track

    from kvs.bench import report
    from kvs.bench.peers import contenders
    from kvs.bench.rounds import order, setting, summary

    screen = Console(stderr=True)

    def steps(todo: Sequence[Any], words: str) -> Iterable[Any]:
        return track(todo, words, console=screen, disable=not screen.is_terminal)

    data = Data.make(seed)
    makers, versions = contenders()
    makers = [make for make in makers if "LMDB" not in make.label]  # its keys end at 511 bytes
    stores: dict[str, list[dict[str, Measure]]] = {make.label: [] for make in makers}
    for make in steps(order(makers, rounds), "rust-set, rust-get"):
        stores[make.label].append(run_store(make, data))
    measured: dict[str, list[dict[str, Measure]]] = {}
    for server in steps(order(_servers(), rounds), "rust-threads"):
        engine, pool, threads = server
        measured.setdefault(f"{engine} {pool} {threads}", []).append(run_server(engine, pool, threads, clients))
    figures: dict[str, Any] = {
        **setting(),
        "versions": versions,
        "rounds": rounds,
        "clients": clients,
        "stores": summary(stores, makers[0].label),
        "servers": summary(measured, next(iter(measured))),
    }
    if as_json:
        put_line(json.dumps(figures, indent=2).encode())
        return
    console = Console()
    console.print(f"{figures['python']}, {figures['machine']}", highlight=False)
    report.show(console, figures["stores"], f"Keys and values of 1 to 100,000 bytes, {rounds} rounds")
    report.explain(console, makers[0].label)
    report.show(console, figures["servers"], f"A server: engine, pool, threads; {clients} clients, {rounds} rounds")
    report.explain(console, next(iter(measured)))
