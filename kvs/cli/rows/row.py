"""A row: what one line of an imported file turned out to be."""

from typing import NamedTuple, TypeAlias

from kvs.engine import check_key, check_value
from kvs.errors import InvalidKeyError, InvalidValueError

Pair: TypeAlias = tuple[bytes, bytes]


class Row(NamedTuple):
    """A pair, or what is wrong with the line: an outcome, not an error, since reading goes on after it.

    Args:
        line: the number of its first line, from 1.
        pair: key and value, or None.
        fault: what was expected there, and what was found; empty where there is a pair.
    """

    line: int
    pair: Pair | None
    fault: str = ""


def make_row(line: int, key: bytes, value: bytes) -> Row:
    """Return the row of a pair that was read, if the store takes such a pair."""
    try:
        return Row(line, (check_key(key), check_value(value)))
    except (InvalidKeyError, InvalidValueError) as error:
        return Row(line, None, str(error))
