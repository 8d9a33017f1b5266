"""kvs bench: measure the store beside others, in one run; `kvs bench NAME` for what else can be measured."""
# ruff: noqa: PLC0415  # what measures is imported only to measure

from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from kvs.cli.command import Json, make_command
from kvs.cli.text import InputError, put_line

OTHERS: Final = ("server", "rust", "locks", "goals")
"""What else can be measured: each by the function `run` in kvs/bench/NAME.py, in a tree that has this file."""


class Benches(TyperGroup):
    """`kvs bench` and what else can be measured, found as the commands themselves are: see kvs/cli/app.py."""

    def list_commands(self, _ctx: typer.Context) -> list[str]:  # type: ignore[override]  # the one context there is
        """Return the names of those that this tree has."""
        return [name for name in OTHERS if find_spec(f"kvs.bench.{name}") is not None]

    def get_command(self, ctx: typer.Context, name: str) -> TyperCommand | None:  # type: ignore[override]  # as above
        """Return the command of this name, imported only now, or None."""
        if name not in self.list_commands(ctx):
            return None
        found: Any = import_module(f"kvs.bench.{name}")
        return make_command(name, found.run)


run = typer.Typer(
    cls=Benches, rich_markup_mode=None, add_completion=False, context_settings={"help_option_names": ["--help"]}
)


@run.callback(invoke_without_command=True)
def bench(  # noqa: PLR0913, PLR0917  # a command's options are its arguments
    ctx: typer.Context,
    keys: Annotated[int, typer.Option(metavar="N", min=1, help="Keys in each round.")] = 100_000,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds; the stores take turns in each.")] = 5,
    value_bytes: Annotated[str, typer.Option(metavar="N,M", help="Sizes of the values.")] = "100",
    threads: Annotated[str, typer.Option(metavar="N,M", help="Threads that share the operations.")] = "1",
    only: Annotated[str, typer.Option(metavar="A,B", help="Workloads, instead of all.", show_default=False)] = "",
    stores: Annotated[str, typer.Option(metavar="A,B", help="Stores, instead of all.", show_default=False)] = "",
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="The store to compare with; else the first.", show_default=False)
    ] = None,
    growth_keys: Annotated[
        int, typer.Option(metavar="N", min=0, help="Keys of the store whose opening and memory are measured.")
    ] = 1_000_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the keys and values.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure engines and, where they are installed, RocksDB and LMDB: sets, gets, mixes, scans, openings.

    `make bench` installs them. Absolute figures drift with the machine; the ratios are what counts.

    Workloads: set, load, get, get-zipf, mixed-95-5, mixed-50-50, scan, get-compacting, reopen, reopen-bare, delete.
    """
    if ctx.invoked_subcommand is not None:
        return
    import json

    from rich.console import Console
    from rich.progress import track

    from kvs.bench import chosen
    from kvs.bench.engines import Plan, measure, show

    try:
        plan = Plan(
            keys=keys,
            rounds=rounds,
            sizes=chosen.numbers(value_bytes, least=0),
            threads=chosen.numbers(threads, least=1),
            workloads=chosen.workloads(only),
            stores=chosen.stores(stores, base),
            growth_keys=growth_keys,
            seed=seed,
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    screen = Console(stderr=True)
    figures = measure(plan, lambda turns: track(turns, "measuring", console=screen, disable=not screen.is_terminal))
    if as_json:
        put_line(json.dumps(figures, indent=2).encode())
    else:
        show(Console(), figures)
