r"""Inline commands: a line of words, so that a person with telnet or nc can talk to the server.

    SET name "snow man"\r\n          double quotes; inside, \n \r \t \b \a \\ \" and \xHH are understood
    SET name 'snow man'\n            single quotes; inside, only \' is

Source: the inline commands of Redis, whose rules for quotes these are.
"""

import re
from typing import Final

from kvs.errors import ProtocolError

_WORD: Final = re.compile(
    rb"""[ \t]*(?:
        "(?P<double>(?:[^"\\]|\\.)*)"(?=[ \t]|$)
      | '(?P<single>(?:[^'\\]|\\.)*)'(?=[ \t]|$)
      | (?P<bare>[^ \t"']+)(?=[ \t]|$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(rb"(?s)\\(x[0-9a-fA-F]{2}|.)")
_MEANING: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_line(line: bytes) -> list[bytes]:
    r"""Return the words of a line, which has no line end any more.

    >>> split_line(b"SET k \"a\\x00b\" 'it\\'s'")
    [b'SET', b'k', b'a\x00b', b"it's"]

    Raises:
        ProtocolError: a quote is not closed, or stands in the middle of a word.
    """
    if b'"' not in line and b"'" not in line:
        return line.split()
    words: list[bytes] = []
    at, end = 0, len(line.rstrip(b" \t"))
    while at < end:
        found = _WORD.match(line, at, end)
        if found is None:
            raise ProtocolError("unbalanced quotes in request")
        words.append(_meaning(found))
        at = found.end()
    return words


def _meaning(word: "re.Match[bytes]") -> bytes:
    """Return the bytes that a word stands for, without its quotes."""
    if word["double"] is not None:
        return _ESCAPE.sub(_unescape, word["double"])
    if word["single"] is not None:
        return word["single"].replace(b"\\'", b"'")
    return word["bare"]


def _unescape(found: "re.Match[bytes]") -> bytes:
    """Return the byte of one escape; one without a meaning is the character itself."""
    name = found[1]
    return bytes.fromhex(name[1:].decode()) if len(name) == 3 else _MEANING.get(name, name)
