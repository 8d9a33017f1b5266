"""COMMAND: which commands there are, how they are used, and where their keys stand.

redis-cli asks for all of it when it starts, for its hints and its help.
"""

from collections.abc import Mapping
from typing import Final

import kvs
from kvs.net.commands.words import wrong_syntax
from kvs.net.connection import Connection
from kvs.net.glob import Glob
from kvs.resp import frame
from kvs.resp.command import Command, CommandError, command, container
from kvs.resp.usage import arguments


def _known(connection: Connection) -> dict[str, Command]:
    """Return the commands by name."""
    return {each.name: each for each in connection.service.commands.values()}


def _named(connection: Connection, word: bytes) -> Command | None:
    """Return the command or subcommand of a name, such as "get" or "client|id"."""
    name, _, part = word.lower().partition(b"|")
    found = connection.service.commands.get(name)
    return found.parts.get(part) if found is not None and part else found


@command("command|count", 2, "server")
def command_count(connection: Connection, _args: list[bytes]) -> bytes:
    """Return how many commands there are."""
    return frame.integer(len(_known(connection)))


@command("command|list", -2, "server", usage="[FILTERBY MODULE name | ACLCAT category | PATTERN pattern]")
def command_list(connection: Connection, args: list[bytes]) -> bytes:
    """Return the names of the commands: all, or those of a pattern or a category."""
    names = [frame.bulk(each.name.encode()) for each in _known(connection).values() if _is_wanted(each, args[2:])]
    return frame.array(names)


def _is_wanted(each: Command, words: list[bytes]) -> bool:
    """Tell whether the filter of COMMAND LIST lets a command through.

    Raises:
        CommandError: it makes no sense.
    """
    match [word.lower() for word in words]:
        case []:
            return True
        case [b"filterby", b"pattern", pattern]:
            return Glob.parse(pattern).matches(each.name.encode())
        case [b"filterby", b"aclcat", category]:
            return f"@{category.decode('latin-1')}" in each.categories
        case [b"filterby", b"module", _]:
            return False
        case _:
            raise wrong_syntax()


@command("command|info", -2, "server", usage="[command-name [command-name ...]]")
def command_info(connection: Connection, args: list[bytes]) -> bytes:
    """Return what a client has to know of some commands, or of all, to send them to the right place."""
    chosen = [_named(connection, word) for word in args[2:]] if len(args) > 2 else list(_known(connection).values())
    return frame.array([_info(each, connection.protocol) for each in chosen])


def _info(each: Command | None, protocol: int) -> bytes:
    """Return one command's ten facts; null for one that there is not."""
    if each is None:
        return frame.NULL_ARRAY[protocol]
    keys = each.keys
    return frame.array(
        [
            frame.bulk(each.name.encode()),
            frame.integer(each.arity),
            frame.set_of([frame.simple(flag) for flag in each.flags], protocol),
            frame.integer(keys.first),
            frame.integer(keys.last),
            frame.integer(keys.step),
            frame.set_of([frame.simple(category) for category in each.categories], protocol),
            frame.array([]),
            frame.set_of([frame.encode(spec, protocol) for spec in _key_specs(each)], protocol),
            frame.array([_info(part, protocol) for part in each.parts.values()]),
        ]
    )


def _key_specs(each: Command) -> list[Mapping[str, frame.Plain]]:
    """Return where the keys stand, once more, as Redis 7 tells it."""
    keys = each.keys
    if not keys.first:
        return []
    last = keys.last if keys.last < 0 else keys.last - keys.first
    return [
        {
            "flags": frozenset({"RW" if each.is_write else "RO"}),
            "begin_search": {"type": "index", "spec": {"index": keys.first}},
            "find_keys": {"type": "range", "spec": {"lastkey": last, "keystep": keys.step, "limit": 0}},
        }
    ]


@command("command|docs", -2, "server", usage="[command-name [command-name ...]]")
def command_docs(connection: Connection, args: list[bytes]) -> bytes:
    """Return what a person has to know of some commands, or of all, to use them."""
    named = [each for word in args[2:] if (each := _named(connection, word)) is not None]
    chosen = named if len(args) > 2 else list(_known(connection).values())
    return frame.encode({each.name: _docs(each) for each in chosen}, connection.protocol)


_SINCE: Final = kvs.__version__


def _docs(each: Command) -> Mapping[str, frame.Plain]:
    docs: dict[str, frame.Plain] = {"summary": each.summary, "since": _SINCE, "group": each.group}
    if each.usage:
        docs["arguments"] = arguments(each.usage)
    if each.parts:
        docs["subcommands"] = {part.name: _docs(part) for part in each.parts.values()}
    return docs


@command("command|getkeys", -4, "server", usage="command arg [arg ...]")
def command_getkeys(connection: Connection, args: list[bytes]) -> bytes:
    """Return which words of a command are keys."""
    words = args[2:]
    found = connection.service.commands.get(words[0].lower())
    if found is None:
        raise CommandError("Invalid command specified")
    each = found.meant(words)
    if not each.keys.first:
        raise CommandError("The command has no key arguments")
    if not each.takes(len(words)):
        raise CommandError("Invalid number of arguments specified for command")
    return frame.array([frame.bulk(key) for key in each.keys.of(words)])


def _all(connection: Connection, _args: list[bytes]) -> bytes:
    """Return what a client has to know of every command; see also COMMAND HELP."""
    return frame.array([_info(each, connection.protocol) for each in _known(connection).values()])


command_ = container(
    "command",
    "server",
    command_count,
    command_docs,
    command_getkeys,
    command_info,
    command_list,
    bare=_all,
)
