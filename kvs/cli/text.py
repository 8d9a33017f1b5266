r"""Bytes as text: how keys and values are typed, and how they are shown.

The store knows bytes only; a terminal, a shell and a text file know characters. Everything that crosses from one to
the other crosses here.

Layout of escaped text: any bytes, with a backslash before what would be misread:

    \t \n \r \\       tab, line feed, carriage return, backslash
    \xHH              one byte, as two hex digits: other control characters, and bytes that are not UTF-8

so that escaped text has no tab and no line end of its own, and is valid UTF-8.
"""

import os
import re
import sys
from typing import Final

_CONTROL: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_NEEDS_ESCAPE: Final = rf"[{_CONTROL}\\]"  # compiled when first used: most commands never do
_UNSEEN: Final = f"[{_CONTROL}]"
_BACKSLASH: Final = rb"(?s)\\(x[0-9A-Fa-f]{2}|.)?"
_NAMED: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}
_MEANING: Final = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"0": b"\0", b"\\": b"\\", b'"': b'"', b"'": b"'", b" ": b" "}


class InputError(ValueError):
    """What was typed or fed in cannot be understood. The message is all that its author needs."""


def from_argument(word: str, *, is_hex: bool = False) -> bytes:
    """Return the bytes of a word of the command line: the very bytes that the shell passed, or those its hex names.

    Raises:
        InputError: it should be hex and is not.
    """
    if not is_hex:
        return os.fsencode(word)
    try:
        return bytes.fromhex(word)
    except ValueError:
        raise InputError(f"expected pairs of hex digits, such as 00ff, found {word!r}") from None


def escape(raw: bytes) -> bytes:
    r"""Return the bytes as one line of text without tabs; `unescape` gives them back.

    >>> escape(b"snow\tman \xe2\x98\x83 \xff")
    b'snow\\tman \xe2\x98\x83 \\xff'
    """
    text = raw.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return raw
    return re.sub(_NEEDS_ESCAPE, _escape_one, text).encode()


def _escape_one(found: re.Match[str]) -> str:
    """Return the escape of one character."""
    one = found[0]
    return _NAMED.get(one) or "".join(f"\\x{byte:02x}" for byte in one.encode("utf-8", "surrogateescape"))


def unescape(text: bytes) -> bytes:
    r"""Return the bytes that escaped text stands for. What `escape` would have escaped may also stand as it is.

    >>> unescape(b"snow\\tman \\xff")
    b'snow\tman \xff'

    Raises:
        InputError: a backslash before something that has no meaning.
    """
    return re.sub(_BACKSLASH, _unescape_one, text) if b"\\" in text else text


def _unescape_one(found: re.Match[bytes]) -> bytes:
    """Return the byte of one escape."""
    name = found[1] or b""
    if len(name) > 1:
        return bytes.fromhex(name[1:].decode())
    if name not in _MEANING:
        shown = escape(name).decode()
        raise InputError(rf"expected \t, \n, \r, \0, \\ or \xHH, found a lone backslash before {shown or 'nothing'!r}")
    return _MEANING[name]


def show(raw: bytes) -> str:
    r"""Return the bytes as a person reads them: plain if they are plain text, else escaped and in double quotes.

    >>> print(show(b"plain text"), show(b"\x00\n"))
    plain text "\x00\n"
    """
    text = raw.decode("utf-8", "surrogateescape")
    if text.isprintable() and not text.startswith('"'):
        return text
    return '"' + escape(raw).decode().replace('"', '\\"') + '"'


def put(raw: bytes) -> None:
    """Write bytes to stdout as they are.

    Raises:
        OSError: stdout is closed, full, or a pipe that nobody reads any more.
    """
    if sys.stdout is None:
        raise OSError("stdout is closed")
    sys.stdout.buffer.write(raw)


def put_line(raw: bytes, *, is_hex: bool = False) -> None:
    """Write bytes, as they are or as hex, and a line end to stdout."""
    put((raw.hex().encode() if is_hex else raw) + b"\n")


def warn(message: str) -> None:
    """Write one line to stderr, whatever the message holds."""
    if sys.stderr is not None:
        sys.stderr.write(re.sub(_UNSEEN, _escape_one, message) + "\n")
        sys.stderr.flush()


def counted(number: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "pair"), counted(138_000, "pair")
    ('1 pair', '138,000 pairs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
