"""kvs bench server: measure the server's designs beside each other, in one run."""
# ruff: noqa: PLC0415  # what measures is imported only to measure

from typing import Annotated, Final, Literal

import typer

from kvs.cli.command import Json
from kvs.cli.text import InputError, put_line

REQUESTS: Final = 100_000
REQUESTS_SYNCED: Final = 5_000
"""Where each write waits for the disk."""


def run(  # noqa: PLR0913, PLR0917  # a command's options are its arguments
    designs: Annotated[
        str, typer.Option(metavar="A,B", help="Servers: loop, ready, jobs, asyncio, loop-at-once, redis.")
    ] = "loop,ready,jobs,asyncio",
    peer: Annotated[Literal["redis"] | None, typer.Option(help="One more server, of somebody else's.")] = None,
    clients: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Connections.")] = 50,
    pipeline: Annotated[str, typer.Option(metavar="N,M", help="Commands that a client sends at once.")] = "1,16",
    requests: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Commands of each kind; 100000, or 5000 with --sync always.")
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds; the servers take turns in each.")] = 5,
    value_bytes: Annotated[int, typer.Option(metavar="N", min=1, max=1 << 20, help="Size of each value.")] = 100,
    keys: Annotated[int, typer.Option(metavar="N", min=1, max=1 << 24, help="How many keys there are.")] = 10_000,
    engine: Annotated[str, typer.Option(metavar="NAME", help="The engine behind the servers.")] = "log",
    sync: Annotated[
        Literal["always", "interval", "none"] | None, typer.Option(help="When writes are made durable.")
    ] = None,
    load: Annotated[
        Literal["auto", "redis-benchmark", "own"], typer.Option(help="Who asks; auto: redis-benchmark if it is here.")
    ] = "auto",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Measure SET and GET through the server: each design in a process of its own, one beside the other.

    A design may name its threads: ready:shared-queue:8. Absolute figures drift with the machine; the ratios to the
    first server are what counts.
    """
    import json

    from rich.console import Console
    from rich.progress import track

    from kvs.bench import server_report
    from kvs.bench.server_contenders import Contender
    from kvs.bench.server_generators import generator
    from kvs.bench.server_load import Load
    from kvs.bench.server_rounds import Plan, measure, summary

    names = list(dict.fromkeys([*designs.split(","), *([peer] if peer else [])]))
    count = requests or (REQUESTS_SYNCED if sync == "always" else REQUESTS)
    try:
        contenders = [Contender.parse(name, clients) for name in names]
    except ValueError as error:
        raise InputError(str(error)) from None
    _check_engine(engine, sync)
    loads = [
        Load(clients=clients, requests=count, pipeline=depth, value_bytes=value_bytes, keys=keys)
        for depth in _depths(pipeline)
    ]
    plan = Plan(contenders=contenders, loads=loads, engine=engine, sync=sync, rounds=rounds)
    asker, generate = generator(load)
    screen = Console(stderr=True)
    measured = measure(
        plan, generate, lambda turns: track(turns, "measuring", console=screen, disable=not screen.is_terminal)
    )
    figures = summary(plan, measured, asker)
    if as_json:
        put_line(json.dumps(figures, indent=2).encode())
    elif markdown:
        put_line(server_report.as_markdown(figures).encode())
    else:
        server_report.show(Console(), figures)


def _check_engine(engine: str, sync: str | None) -> None:
    """See that there is such an engine, and that it knows sync modes if one is asked for.

    Raises:
        InputError: there is none, or it does not.
    """
    import kvs

    if engine not in kvs.engine_names():
        raise InputError(f"no engine is called {engine!r}; there are {', '.join(kvs.engine_names())}")
    if sync is not None and engine == "memory":
        raise InputError("the memory engine has nothing to sync; leave --sync away")


def _depths(text: str) -> list[int]:
    """Return how many commands are sent at once, for each load.

    Raises:
        InputError: the text is no list of such numbers.
    """
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and 1 <= int(word[:9]) <= 1000 for word in words):
        raise InputError(f"expected numbers from 1 to 1000 with commas between them, found {text!r}")
    return list(dict.fromkeys(map(int, words)))
