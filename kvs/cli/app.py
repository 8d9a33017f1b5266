"""The typer application: finds the commands, and turns whatever ends one into an exit status.

Commands are found, not listed. `kvs get` is the function `run` in kvs/cli/verbs/get.py, and only that file is
imported for it; a tree that does not have the file does not have the command. Other packages add commands by an entry
point in the group `kvs.commands`.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""
# ruff: noqa: PLC0415  # what only help and mistakes need is imported for those alone: a start is paid for every time

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

import kvs
from kvs.cli.command import make_command
from kvs.cli.text import InputError, warn
from kvs.errors import CorruptRecordError, KvsError

VERBS: Final = "kvs.cli.verbs"
ENTRY_POINTS: Final = "kvs.commands"


class Verbs(TyperGroup):
    """The commands of the files in kvs/cli/verbs, then those of entry points."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # the one context there is
        """Return the names of all commands, in alphabetical order."""
        from pkgutil import iter_modules

        files = (found.name.rstrip("_") for found in iter_modules(import_module(VERBS).__path__))
        return sorted({*super().list_commands(ctx), *files, *_entry_points()})

    def get_command(self, ctx: typer.Context, name: str) -> TyperCommand | None:  # type: ignore[override]  # as above
        """Return the command of this name, imported only now, or None."""
        if name not in self.commands and (run := _find(name)) is not None:
            self.commands[name] = make_command(name, run)
        command: TyperCommand | None = super().get_command(ctx, name)  # type: ignore[assignment]  # all are of ours
        return command

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]  # as above
        """Find the command that the words ask for, or name the one that may have been meant."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from difflib import get_close_matches

            nearest = get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"No such command {name!r}." + "".join(f" Did you mean {other!r}?" for other in nearest))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # as above
        """Run the command; what it raises becomes one line and a status, by the table in `_status_of`."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
        except (KeyboardInterrupt, OSError, KvsError, InputError) as error:
            raise typer.Exit(_status_of(error)) from None
        except Exception as error:
            if hasattr(error, "exit_code") or os.environ.get("KVS_TRACEBACK"):
                raise  # typer's own: it shows how the command is used, and exits with 2
            raise typer.Exit(_status_of(error)) from None


def _find(name: str) -> Any:
    """Return the function or application behind a command's name, or None if there is no such command."""
    module = f"{VERBS}.{name}{'_' if iskeyword(name) else ''}"
    if name.isidentifier() and "_" not in name and find_spec(module) is not None:
        return import_module(module).run
    found = _entry_points().get(name)
    return found.load() if found is not None else None


def _entry_points() -> dict[str, Any]:
    """Return the commands that other packages bring, by name."""
    from importlib.metadata import entry_points  # reads the file system: not for a command that has a file

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _status_of(error: BaseException) -> int:
    """Say on stderr what went wrong, in one line, and return the exit status."""
    _settle_stdout()
    match error:
        case KeyboardInterrupt():
            return 130
        case BrokenPipeError():
            return 0  # whoever reads our stdout has read enough
        case OSError(strerror=str(reason)):
            names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
            warn(": ".join(["kvs", *names, reason]))
        case CorruptRecordError():
            warn(f"kvs: {error} (kvs check lists all damage, kvs repair DEST saves the rest)")
        case KvsError() | InputError() | OSError():
            warn(f"kvs: {error}")
        case _:
            warn(f"kvs: {type(error).__name__}: {error} (KVS_TRACEBACK=1 shows where)")
    return 1


def _settle_stdout() -> None:
    """Bring out what is still to be printed; if that cannot be, keep Python from trying again at its exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(cls=Verbs, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def kvs_command(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")] = False,
    directory: Annotated[str | None, typer.Option("--dir", metavar="DIR", help="As after a command.")] = None,
    address: Annotated[str | None, typer.Option("--addr", metavar="HOST:PORT", help="As after a command.")] = None,
) -> None:
    """A key-value store that survives crashes: set, get and remove keys in a directory."""
    if version:
        typer.echo(f"kvs {kvs.__version__}")
        raise typer.Exit
    if directory is not None:
        os.environ["KVS_DIR"] = directory  # where every command looks for it
    if address is not None:
        os.environ["KVS_ADDR"] = address
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def run(words: Sequence[str]) -> int:
    """Run the command that the words ask for and return the exit status."""
    try:
        typer.main.get_command(app).main(list(words), prog_name="kvs")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except OSError as error:  # from `kvs --help` alone, which is printed before any command is invoked
        return _status_of(error)
    return 0
