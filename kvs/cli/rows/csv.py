"""Rows of comma-separated values, as spreadsheets write them.

Layout (RFC 4180, without a heading line):

    row    = column, comma, column, line end
    column = plain | " any characters, with "" for each double quote "

Bytes that are not UTF-8 stand there as they are.

Source: RFC 4180, "Common Format and MIME Type for Comma-Separated Values (CSV) Files".
"""

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Final

from kvs.cli.rows.row import Row, make_row
from kvs.engine import MAX_VALUE_BYTES

_NEEDS_QUOTES: Final = re.compile(rb'[",\r\n]|^[ \t\xef]|[ \t]$|^$')  # spaces at an edge get lost in some readers


def encode(key: bytes, value: bytes) -> bytes:
    r"""Return the row of a pair.

    >>> encode(b"snow, man", b"plain")
    b'"snow, man",plain\n'
    """
    return b"%b,%b\n" % (_column(key), _column(value))


def _column(raw: bytes) -> bytes:
    """Return a column, in quotes where it needs them."""
    return b'"%b"' % raw.replace(b'"', b'""') if _NEEDS_QUOTES.search(raw) else raw


def decode(lines: Iterable[bytes]) -> Iterator[Row]:
    r"""Read rows.

    >>> next(decode([b'"snow, man",plain\n'])).pair
    (b'snow, man', b'plain')
    """
    csv.field_size_limit(2 * MAX_VALUE_BYTES)
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            columns = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, None, f"expected comma-separated values, found a fault in the quoting: {error}")
            continue
        if len(columns) != 2:
            yield Row(number, None, f"expected 2 columns, found {len(columns)}")
            continue
        key, value = (column.encode("utf-8", "surrogateescape") for column in columns)
        yield make_row(number, key, value)
