r"""ReplyDecoder: feed bytes as they arrive, take the replies that they complete. The client's half of the protocol.

Layout: a reply is a value of kvs.resp.value, or is made of replies:

    *2\r\n ...      array of so many
    ~2\r\n ...      set of so many
    %2\r\n ...      map of so many pairs
    |2\r\n ...      attribute: so many pairs about the reply that follows; skipped
    >2\r\n ...      push: so many, which are nobody's answer; kept apart

Strings and arrays of unknown size (`$?`) are in the specification, but no server sends them; they are refused.

Source: the Redis serialization protocol specification, versions 2 and 3.
"""

from collections import deque
from typing import Final

from kvs.engine import MAX_VALUE_BYTES
from kvs.errors import ProtocolError
from kvs.resp.value import SCALARS, Reply, fault, hashable, scalar, size, string

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = (1 << 31) - 1
MAX_LINE_BYTES: Final = 64 * 1024
MAX_PUSHES: Final = 1_000
"""Pushes that nobody has taken: of more, the oldest go."""

_STRINGS: Final = frozenset(b"$!=")
_AGGREGATES: Final = frozenset(b"*%~|>")
_MARKS: Final = SCALARS | _STRINGS | _AGGREGATES
_MAY_BE_NULL: Final = frozenset(b"$*")
_SET, _MAP, _ATTRIBUTE, _PUSH = b"~%|>"


class ReplyDecoder:
    r"""Bytes in, replies out.

    >>> decoder = ReplyDecoder()
    >>> decoder.feed(b"$2\r\nhi\r\n*2\r\n:1\r\n-ERR no")
    [b'hi']
    >>> decoder.feed(b"\r\n+OK\r\n")
    [[1, RemoteError('ERR no')], b'OK']

    Invariants:
        1. What comes out depends on the bytes alone, never on where they were cut.
        2. Memory is what was received of the unfinished reply: an announced size reserves nothing.
        3. Work is linear in the bytes received.
        4. After the first fault nothing more comes out, for nobody knows where the next reply begins.

    Attributes:
        fault: the ProtocolError that broke the stream; None while it is whole. Replies before it came out.
        pushes: what the server said unasked.
    """

    __slots__ = ("_mark", "_open", "_rest", "_to_come", "fault", "pushes")

    def __init__(self) -> None:
        self.fault: ProtocolError | None = None
        self.pushes: deque[list[Reply]] = deque(maxlen=MAX_PUSHES)
        self._rest = bytearray()  # what was received of an unfinished line or string
        self._to_come = 0  # bytes of the string that is arriving, and of the CRLF behind it; 0 between strings
        self._mark = 0  # the string's mark
        self._open: list[_Aggregate] = []  # the unfinished arrays and their like, the innermost last

    @property
    def is_between(self) -> bool:
        """Whether no reply has been begun and not finished."""
        return not self._rest and not self._open and not self._to_come

    def feed(self, data: bytes) -> list[Reply]:
        """Take some bytes; return the replies that are whole now."""
        replies: list[Reply] = []
        if self.fault is None:
            try:
                self._walk(data, replies)
            except ProtocolError as broken:
                self.fault = broken
                self._rest, self._open = bytearray(), []
        return replies

    def _walk(self, data: bytes, replies: list[Reply]) -> None:
        """Go through the bytes one line and one string at a time, from wherever the last ones ended."""
        rest, at = self._rest, 0
        while at < len(data):
            begun = len(rest)
            if self._to_come:
                end = at + self._to_come - begun
                if end > len(data):
                    rest += data[at:]
                    return
                raw = data[at:end]
                if begun:
                    rest += raw
                    raw = bytes(rest)
                    rest.clear()
                self._to_come = 0
                if not raw.endswith(b"\r\n"):
                    raise fault("CRLF behind a string", raw[-2:])
                self._deliver(string(self._mark, raw[:-2]), replies)
            else:
                end = data.find(b"\n", at) + 1
                if not end:
                    rest += data[at:]
                    _check_line(rest)
                    return
                line = data[at:end]
                if begun:
                    rest += line
                    line = bytes(rest)
                    rest.clear()
                self._take_line(line, replies)
            at = end

    def _take_line(self, line: bytes, replies: list[Reply]) -> None:
        """Take a line: a value, or the beginning of one."""
        _check_line(line)
        mark, text = line[0], line[1:-2]
        if mark in _MAY_BE_NULL and text == b"-1":
            self._deliver(None, replies)
        elif mark in _STRINGS:
            self._to_come = size(text, MAX_VALUE_BYTES) + 2
            self._mark = mark
        elif mark in _AGGREGATES:
            self._begin(mark, size(text, MAX_ITEMS), replies)
        else:
            self._deliver(scalar(mark, text), replies)

    def _begin(self, mark: int, count: int, replies: list[Reply]) -> None:
        """Begin an array or what is like one; if it is empty it is whole already."""
        if len(self._open) >= MAX_DEPTH:
            raise fault(f"replies within replies at most {MAX_DEPTH} deep", b"one more")
        if mark == _PUSH and (self._open or not count):
            raise fault("a push between replies, with its kind", b"one within a reply, or without")
        begun = _Aggregate(mark, count * 2 if mark in {_MAP, _ATTRIBUTE} else count)
        if count:
            self._open.append(begun)
        elif mark != _ATTRIBUTE:
            self._deliver(begun.value(), replies)

    def _deliver(self, value: Reply, replies: list[Reply]) -> None:
        """Put a value where it belongs: among the replies, or into what it is a part of, which may be whole then."""
        while self._open:
            innermost = self._open[-1]
            innermost.parts.append(value)
            if len(innermost.parts) < innermost.count:
                return
            self._open.pop()
            if innermost.mark == _ATTRIBUTE:
                return
            if innermost.mark == _PUSH:
                self.pushes.append(innermost.parts)
                return
            value = innermost.value()
        replies.append(value)


class _Aggregate:
    """An array, set, map, attribute or push whose parts are arriving."""

    __slots__ = ("count", "mark", "parts")

    def __init__(self, mark: int, count: int) -> None:
        self.mark = mark
        self.count = count
        self.parts: list[Reply] = []

    def value(self) -> Reply:
        """Return the whole as Python has it."""
        if self.mark == _MAP:
            return dict(zip(map(hashable, self.parts[::2]), self.parts[1::2], strict=True))
        return set(map(hashable, self.parts)) if self.mark == _SET else self.parts


def _check_line(line: bytes | bytearray) -> None:
    """See that a line is one, or may be one when the rest of it comes."""
    if line[0] not in _MARKS:
        raise fault("the mark of a reply", line[:1])
    if len(line) > MAX_LINE_BYTES:
        raise fault(f"a line of at most {MAX_LINE_BYTES:,} bytes", line)
    if line.endswith(b"\n") and line.find(b"\r") != len(line) - 2:
        raise fault("CRLF at the end of a line, and there alone", line)
