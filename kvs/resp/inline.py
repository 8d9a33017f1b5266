r"""Inline commands: a line of words, so that a person with telnet or nc can talk to the server.

    SET name "snow man"\r\n          double quotes; inside, \n \r \t \b \a \\ \" and \xHH are understood
    SET name 'snow man'\n            single quotes; inside, only \' is
    SET name snow" "man\n            the last part of a word may be quoted, too

Source: the inline commands of Redis, whose rules for quotes these are.
"""

import re
from typing import Final

from kvs.errors import ProtocolError

_QUOTED: Final = re.compile(
    rb"""(?P<plain>[^"']*+)(?:
        "(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"
      | '(?P<single>[^'\\]*+(?:\\(?:'|(?!'))[^'\\]*+)*+)'
    )(?=[ \t\r]|\Z)""",
    re.VERBOSE | re.DOTALL,
)
"""What comes before a quoted part, and the part. The possessive + keeps the cost linear, in time and in memory."""
_SPACES: Final = (b" ", b"\t", b"\r")
_ESCAPE: Final = re.compile(rb"(?s)\\(x[0-9a-fA-F]{2}|.)")
_MEANING: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_line(line: bytes) -> list[bytes]:
    r"""Return the words of a line, which has no line end any more.

    >>> split_line(b"SET k \"a\\x00b\" 'it\\'s'")
    [b'SET', b'k', b'a\x00b', b"it's"]

    Raises:
        ProtocolError: a quote is not closed, or something follows it at once.
    """
    if b'"' not in line and b"'" not in line:
        return line.split()
    words: list[bytes] = []
    at = 0
    while found := _QUOTED.match(line, at):
        plain = found["plain"]
        words += plain.split()
        is_begun = bool(plain) and plain[-1:] not in _SPACES
        words.append((words.pop() if is_begun else b"") + _meaning(found))
        at = found.end()
    rest = line[at:]
    if b'"' in rest or b"'" in rest:
        raise ProtocolError("unbalanced quotes in request")
    return words + rest.split()


def _meaning(found: "re.Match[bytes]") -> bytes:
    """Return the bytes that a quoted part stands for."""
    if found["single"] is not None:
        return found["single"].replace(b"\\'", b"'")
    return _ESCAPE.sub(_unescape, found["double"])


def _unescape(found: "re.Match[bytes]") -> bytes:
    """Return the byte of one escape; one without a meaning is the character itself."""
    name = found[1]
    return bytes.fromhex(name[1:].decode()) if len(name) == 3 else _MEANING.get(name, name)
