"""Usage: the words of a command as a person reads them, taken apart as COMMAND DOCS tells them to a program.

Layout of a usage:

    key value            a value each; what is in capitals stands for itself: NX
    MATCH pattern        a word of its own before a value
    [GET]                may be left out
    [NX | XX]            one of these
    key [key ...]        any number of them

Source: Redis's documentation of COMMAND DOCS, of which redis-cli makes its hints.
"""

import re
from typing import Final, TypeAlias

from kvs.resp.frame import Plain

Argument: TypeAlias = dict[str, Plain]

_TOKEN: Final = re.compile(r"\.\.\.|[\[\]|]|[^\s\[\]|]+")
_TYPES: Final = {
    "key": "key",
    "newkey": "key",
    "source": "key",
    "destination": "key",
    "pattern": "pattern",
    "count": "integer",
    "client-id": "integer",
    "cursor": "integer",
    "decrement": "integer",
    "destination-db": "integer",
    "end": "integer",
    "increment": "integer",
    "index": "integer",
    "milliseconds": "integer",
    "offset": "integer",
    "protover": "integer",
    "seconds": "integer",
    "start": "integer",
}
"""What kind of value a word stands for, where it is not just any string."""


def arguments(usage: str) -> list[Argument]:
    """Return the arguments that a usage names.

    >>> arguments("key [start]")
    [{'name': 'key', 'type': 'key'}, {'name': 'start', 'type': 'integer', 'flags': frozenset({'optional'})}]
    """
    return _choice(_TOKEN.findall(usage)[::-1])


def _choice(tokens: list[str]) -> list[Argument]:
    """Take what is up to the closing bracket or the end off a reversed list: one sequence, or one of several."""
    sequences = [_sequence(tokens)]
    while tokens and tokens[-1] == "|":
        tokens.pop()
        sequences.append(_sequence(tokens))
    if len(sequences) == 1:
        return sequences[0]
    return [{"name": "choice", "type": "oneof", "arguments": [_one(each) for each in sequences]}]


def _sequence(tokens: list[str]) -> list[Argument]:
    """Take arguments off a reversed list, one after the other."""
    found: list[Argument] = []
    while tokens and tokens[-1] not in {"]", "|"}:
        word = tokens.pop()
        if word == "[":
            _bracket(tokens, found)
        elif not word.isupper():
            found.append({"name": word, "type": _TYPES.get(word, "string")})
        elif tokens and tokens[-1][0].islower():
            name = tokens.pop()
            found.append({"name": name, "type": _TYPES.get(name, "string"), "token": word})
        else:
            found.append({"name": word.lower(), "type": "pure-token", "token": word})
    return found


def _bracket(tokens: list[str], found: list[Argument]) -> None:
    """Take what is in brackets off a reversed list: what may be left out, or the repetition of what stands before."""
    inside = _choice(tokens)
    if tokens:
        tokens.pop()
    if inside[-1]["name"] == "...":
        count = len(inside) - 1
        repeated = found[-count:]
        found[-count:] = [_flagged(_one(repeated), "multiple")]
    else:
        found.append(_flagged(_one(inside), "optional"))


def _one(sequence: list[Argument]) -> Argument:
    """Return several arguments as one."""
    return sequence[0] if len(sequence) == 1 else {"name": "words", "type": "block", "arguments": sequence}


def _flagged(argument: Argument, flag: str) -> Argument:
    """Return the argument with a flag more."""
    flags = argument.get("flags")
    rest = {name: value for name, value in argument.items() if name not in {"flags", "arguments"}}
    kept = {"arguments": argument["arguments"]} if "arguments" in argument else {}
    return rest | {"flags": frozenset({flag}) | (flags if isinstance(flags, frozenset) else frozenset())} | kept
