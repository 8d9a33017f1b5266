"""The shape that all commands share: what of a command line is an option and what is a key or a value."""

from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand

Hex: TypeAlias = Annotated[bool, typer.Option("--hex", help="Keys and values are given and shown as hex digits.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]


class KvsCommand(TyperCommand):
    """A command whose words may begin with a dash: `kvs set k -5` stores -5.

    Commands have long options only. So a word with one dash in front is a key or a value; one that looks like a long
    option and is none is a mistake, and is refused; after a lone `--` everything is a key or a value.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        given = settings.get("context_settings") or {}
        settings["context_settings"] = {**given, "ignore_unknown_options": True, "help_option_names": ["--help"]}
        super().__init__(*args, **settings)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # the one there is
        """Refuse unknown long options, which the parser has been told to let through, and parse the rest."""
        flags = {
            name: getattr(param, "is_flag", False)
            for param in self.get_params(ctx)
            for name in [*param.opts, *param.secondary_opts]
        }
        words = iter(args)
        for word in words:
            if word == "--":
                break
            name, has_value, _ = word.partition("=")
            if name in flags and not flags[name] and not has_value:
                next(words, None)  # the option's value, whatever it looks like
            elif name not in flags and _is_long_option(name):
                ctx.fail(f"No such option: {name}. A key or value that looks like one goes after a lone '--'.")
        return super().parse_args(ctx, args)


def _is_long_option(word: str) -> bool:
    """Tell whether a word is two dashes and a name."""
    letters = word[2:].replace("-", "")
    return word.startswith("--") and letters.isascii() and letters.isalpha() and letters.islower()


def make_command(name: str, run: Any) -> TyperCommand:
    """Return the command that a function with typer annotations, or a typer application, describes."""
    if isinstance(run, typer.Typer):
        app = run
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, cls=KvsCommand)(run)
    command: TyperCommand = typer.main.get_command(app)  # type: ignore[assignment]  # or a group of them
    command.name = name
    return command
