r"""Rows of tab-separated text.

Layout:

    row = escaped key, tab, escaped value, line feed

Escapes are those of kvs.cli.text: \t \n \r \\ and \xHH. So a row is one line, whatever the bytes; and text without
tabs, line ends and backslashes stands there as it is. A carriage return before the line feed is not part of the value.
"""

from collections.abc import Iterable, Iterator

from kvs.cli.rows.row import Row, make_row
from kvs.cli.text import InputError, escape, unescape


def encode(key: bytes, value: bytes) -> bytes:
    r"""Return the row of a pair.

    >>> encode(b"snow\tman", b"\xff")
    b'snow\\tman\t\\xff\n'
    """
    return b"%b\t%b\n" % (escape(key), escape(value))


def decode(lines: Iterable[bytes]) -> Iterator[Row]:
    r"""Read rows.

    >>> next(decode([b"snow\\tman\t\\xff\n"])).pair
    (b'snow\tman', b'\xff')
    """
    for number, line in enumerate(lines, 1):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        key, tab, value = text.partition(b"\t")
        if not tab or b"\t" in value:
            tabs = text.count(b"\t")
            found = f"{tabs} tabs" if tabs else "no tab"
            yield Row(number, None, rf"expected a key, one tab and a value (a tab within is written \t), found {found}")
            continue
        try:
            yield make_row(number, unescape(key), unescape(value))
        except InputError as error:
            yield Row(number, None, str(error))
