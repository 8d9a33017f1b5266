"""The table of all commands, by name."""

from collections.abc import Iterator
from typing import Final

from kvs.net.commands import (
    about,
    admin,
    clients,
    config,
    info,
    keys,
    keyspace,
    lifetimes,
    numbers,
    slices,
    strings,
    talk,
    transactions,
)
from kvs.resp.command import Command

_GROUPS: Final = (
    strings,
    numbers,
    slices,
    keys,
    keyspace,
    lifetimes,
    transactions,
    talk,
    clients,
    about,
    config,
    info,
    admin,
)


def _all() -> Iterator[Command]:
    """Yield every command; a subcommand is reached through the one that it belongs to."""
    for module in _GROUPS:
        yield from (each for each in vars(module).values() if isinstance(each, Command) and "|" not in each.name)


BY_NAME: Final = {each.name: each for each in sorted(_all(), key=lambda each: each.name)}
"""Every command by its name, in alphabetical order."""
COMMANDS: Final = {name.encode(): each for lower, each in BY_NAME.items() for name in (lower, lower.upper())}
"""Every command by the two ways in which its name is nearly always written; others are put into lower case first."""
