"""The table of all commands, by name."""

from collections.abc import Iterator
from typing import Final

from kvs.net.commands import strings, talk
from kvs.resp.command import Command


def _all() -> Iterator[Command]:
    for module in (strings, talk):
        yield from (each for each in vars(module).values() if isinstance(each, Command))


BY_NAME: Final = {each.name: each for each in sorted(_all(), key=lambda each: each.name)}
"""Every command by its name, in alphabetical order."""
COMMANDS: Final = {name.encode(): each for lower, each in BY_NAME.items() for name in (lower, lower.upper())}
"""Every command by the two ways in which its name is nearly always written; others are put into lower case first."""
