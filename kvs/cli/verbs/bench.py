"""kvs bench: measure the store beside others, in one run; `kvs bench server` its server's designs."""
# ruff: noqa: PLC0415  # what measures is imported only to measure

from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from kvs.cli.command import Json, make_command
from kvs.cli.text import put_line

OTHERS: Final = ("server",)
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
def bench(  # a command's options are its arguments
    ctx: typer.Context,
    keys: Annotated[int, typer.Option(metavar="N", min=1, help="Keys in each round.")] = 100_000,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds; the stores take turns in each.")] = 5,
    value_bytes: Annotated[int, typer.Option(metavar="N", min=0, help="Size of each value.")] = 100,
    growth_keys: Annotated[
        int, typer.Option(metavar="N", min=0, help="Keys of the store whose opening and memory are measured.")
    ] = 1_000_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the keys and values.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure sets, gets, scans, loads and openings beside RocksDB and LMDB, where these are installed.

    `make bench` installs them. Absolute figures drift with the machine; the ratios are what counts.
    """
    if ctx.invoked_subcommand is not None:
        return
    import json
    import tempfile
    from dataclasses import asdict
    from pathlib import Path

    from rich.console import Console
    from rich.progress import track

    from kvs.bench import growth, report, workloads
    from kvs.bench.contenders import contenders

    candidates, versions = contenders()
    workload = workloads.Workload.make(keys, value_bytes, seed)
    measured: report.Rounds = {}
    screen = Console(stderr=True)
    turns = [(number, make) for number in range(rounds) for make in candidates]
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        for turn, (_, make) in enumerate(track(turns, "measuring", console=screen, disable=not screen.is_terminal)):
            rates = workloads.run(make, workload, f"{directory}/{turn}", f"{directory}/{turn}-bulk")
            measured.setdefault(make.label, []).append(rates)
        figures = report.summary(measured, versions)
        if growth_keys:
            pairs = workloads.Workload.make(growth_keys, value_bytes, seed).pairs
            figures["growth"] = asdict(growth.measure(pairs, Path(directory) / "growth"))
    if as_json:
        put_line(json.dumps(figures, indent=2).encode())
        return
    console = Console()
    title = f"{keys:,} keys of 16 bytes, values of {value_bytes}, {rounds} rounds, {figures['python']}"
    report.show(console, figures, title)
    if growth_keys:
        found = figures["growth"]
        rows = [
            ("opened with hints", f"{found['open_with_hints'] / 1e6:.2f} M keys a second"),
            ("opened without", f"{found['open_without_hints'] / 1e6:.2f} M records a second"),
            ("memory", f"{found['bytes_per_key']:.0f} bytes a key"),
            ("a dict of the same", f"{found['dict_bytes_per_key']:.0f} bytes a key"),
        ]
        report.show_rows(console, f"A store of {growth_keys:,} keys", rows)
