"""Rows of JSON, one object a line.

Layout:

    row = {"key": "text", "value": "text"}

What is not UTF-8 stands under "key_hex" or "value_hex" instead, as hex digits.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kvs.cli.rows.row import Pair, Row, make_row
from kvs.cli.text import InputError


def encode(key: bytes, value: bytes) -> bytes:
    r"""Return the row of a pair.

    >>> encode(b"snowman", b"\xff")
    b'{"key": "snowman", "value_hex": "ff"}\n'
    """
    return json.dumps(member("key", key) | member("value", value), ensure_ascii=False).encode() + b"\n"


def member(name: str, raw: bytes) -> dict[str, str]:
    """Return the member for a key or a value."""
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_hex": raw.hex()}


def decode(lines: Iterable[bytes]) -> Iterator[Row]:
    r"""Read rows.

    >>> next(decode([b'{"key": "snowman", "value_hex": "ff"}'])).pair
    (b'snowman', b'\xff')
    """
    for number, line in enumerate(lines, 1):
        try:
            yield make_row(number, *_decode_one(line))
        except InputError as error:
            yield Row(number, None, str(error))
        except (ValueError, RecursionError) as error:
            yield Row(number, None, f"expected one JSON object a line: {error}")


def _decode_one(line: bytes) -> Pair:
    """Return the pair of one line.

    Raises:
        InputError: it is JSON, but not of a pair.
        ValueError, RecursionError: it is not JSON, or nested beyond reason.
    """
    members = json.loads(line)
    if not isinstance(members, dict):
        raise InputError('expected an object such as {"key": "k", "value": "v"}')
    pair = _take(members, "key"), _take(members, "value")
    if members:
        raise InputError(f"expected no member but key and value, found {next(iter(members))!r}")
    return pair


def _take(members: dict[str, Any], name: str) -> bytes:
    """Take the key or the value out of an object's members.

    Raises:
        InputError: it is missing, there twice, or no text.
    """
    found = {spelling: members.pop(spelling) for spelling in (name, f"{name}_hex") if spelling in members}
    if len(found) != 1:
        raise InputError(f'expected either "{name}" or "{name}_hex", found {"both" if found else "neither"}')
    spelling, text = found.popitem()
    if not isinstance(text, str):
        raise InputError(f'expected "{spelling}" to be a string, found {json.dumps(text)}')
    try:
        return text.encode() if spelling == name else bytes.fromhex(text)
    except ValueError:
        kind = "characters of Unicode" if spelling == name else "pairs of hex digits"
        raise InputError(f'expected "{spelling}" to be {kind}, found {json.dumps(text)}') from None
