r"""The server's half of the protocol a second time: slow, plain, and one byte at a time over a whole input.

    stream   = *( frame | inline )
    frame    = "*" number CRLF, then so many words
    word     = "$" number CRLF, so many bytes, CRLF
    inline   = a line of text that begins with neither "*" nor anything but a letter, a quote or a blank
    number   = "0" | [ "-" ] a digit that is not 0, then digits; of 64 bits

What `read` returns is what a decoder has to return for these bytes, however it gets them.
"""

import string
from collections.abc import Iterator
from typing import Final

MOST_WORDS: Final = 1024 * 1024
MOST_WORD_BYTES: Final = 512 * 1024 * 1024
MOST_COMMAND_BYTES: Final = 1024 * 1024 * 1024
MOST_LINE_BYTES: Final = 64 * 1024
MOST_HEAD_BYTES: Final = 32
INTEGERS: Final = range(-(2**63), 2**63)
FIRST: Final = string.ascii_letters + "\"' \t\r\n"
BLANK: Final = " \t\r\n"
ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


class BrokenError(Exception):
    """The stream is no protocol from here on; the message is the decoder's."""


class UnfinishedError(Exception):
    """The input ends in the middle of something."""


def read(data: bytes) -> tuple[list[list[bytes]], str | None, int]:
    """Return the commands, what is wrong then (or None), and how many bytes at the end belong to no command yet."""
    chars = iter(data.decode("latin-1"))
    text = Text(chars)
    commands: list[list[bytes]] = []
    ended = 0
    while True:
        try:
            words = read_command(text)
        except UnfinishedError:
            return commands, None, text.taken - ended
        except BrokenError as error:
            return commands, str(error), 0
        ended = text.taken
        if words:
            commands.append([word.encode("latin-1") for word in words])


class Text:
    """Gives out an input a character at a time."""

    def __init__(self, chars: Iterator[str]) -> None:
        self._chars = chars
        self.taken = 0

    def take(self) -> str:
        """Return the next character."""
        try:
            char = next(self._chars)
        except StopIteration:
            raise UnfinishedError from None
        self.taken += 1
        return char


def read_command(text: Text) -> list[str]:
    """Return the words of the next command; none for a line or a frame without any."""
    first = text.take()
    if first != "*":
        return read_inline(text, first)
    count = read_number(text, "invalid multibulk length")
    if count > MOST_WORDS:
        raise BrokenError("invalid multibulk length")
    words: list[str] = []
    size = 0
    for _ in range(count):
        mark = text.take()
        if mark != "$":
            raise BrokenError(f"expected '$', got {mark!r}")
        length = read_number(text, "invalid bulk length")
        if not 0 <= length <= MOST_WORD_BYTES:
            raise BrokenError("invalid bulk length")
        size += length
        if size > MOST_COMMAND_BYTES:
            raise BrokenError("a command has at most 1,073,741,824 bytes")
        words.append("".join([text.take() for _ in range(length)]))
        if text.take() != "\r" or text.take() != "\n":
            raise BrokenError("expected CRLF after a bulk string")
    return words


def read_number(text: Text, complaint: str) -> int:
    """Return the number of a head, whose mark is read already."""
    line = ""
    while not line.endswith("\n"):
        if len(line) + 1 >= MOST_HEAD_BYTES:
            raise BrokenError(complaint)
        line += text.take()
    digits = line[:-2]
    is_number = line.endswith("\r\n") and digits.removeprefix("-") != "" and len(digits) <= 20
    is_number = is_number and all(digit in "0123456789" for digit in digits.removeprefix("-"))
    if not is_number or str(int(digits)) != digits or int(digits) not in INTEGERS:
        raise BrokenError(complaint)
    return int(digits)


def read_inline(text: Text, first: str) -> list[str]:
    """Return the words of a line."""
    line, char = "", first
    while True:
        if len(line) == MOST_LINE_BYTES:
            raise BrokenError("too big inline request")
        is_text = char in "\t\r\n" or (char >= " " and char != "\x7f")
        if first not in FIRST or not is_text:
            raise BrokenError("expected '*' or a line of text")
        line += char
        if char == "\n":
            return split(line)
        char = text.take()


def split(line: str) -> list[str]:
    """Return the words of a line that ends with its line end."""
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in BLANK:
            at += 1
            continue
        word = ""
        while at < len(line) and line[at] not in BLANK + "\"'":
            word += line[at]
            at += 1
        if line[at] in "\"'":
            part, at = unquote(line, at + 1, line[at])
            word += part
            if line[at] not in BLANK:
                raise BrokenError("unbalanced quotes in request")
        words.append(word)
    return words


def unquote(line: str, at: int, quote: str) -> tuple[str, int]:
    """Return what stands within quotes, and where the line goes on behind them."""
    part = ""
    while line[at] != "\n":
        char, after = line[at], line[at + 1]
        if char == quote:
            return part, at + 1
        if char == "\\" and quote == "'" and after == "'":
            part, at = part + "'", at + 2
        elif char == "\\" and quote == '"' and is_hex(line[at + 1 : at + 4]):
            part, at = part + chr(int(line[at + 2 : at + 4], 16)), at + 4
        elif char == "\\" and quote == '"' and after != "\n":
            part, at = part + ESCAPES.get(after, after), at + 2
        else:
            part, at = part + char, at + 1
    raise BrokenError("unbalanced quotes in request")


def is_hex(text: str) -> bool:
    """Tell whether this is an x and two hexadecimal digits."""
    return len(text) == 3 and text[0] == "x" and all(digit in string.hexdigits for digit in text[1:])
