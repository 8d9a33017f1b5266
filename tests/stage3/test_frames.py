"""Task 3.1: frames: what the protocol says, as bytes."""

import pytest

from kvs.resp.frame import array, bulk, encode_command, error, integer, parse_integer

pytestmark = pytest.mark.task("3.1")

NO_NUMBERS = [
    *("", "-", "+1", " 1", "1 ", "1\n", "1_0", "0x1", "1.0", "1e3", "abc", "--1", "- 1", "\0"),
    *("99999999999999999999", "9223372036854775808", "-9223372036854775809"),
    *("\N{ARABIC-INDIC DIGIT ONE}", "\N{SUPERSCRIPT ONE}"),
]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"hello", b"$5\r\nhello\r\n"),
        (b"", b"$0\r\n\r\n"),
        (b"a\r\nb", b"$4\r\na\r\nb\r\n"),
        (b"$3\r\nabc\r\n", b"$9\r\n$3\r\nabc\r\n\r\n"),
        (b"\0\xff", b"$2\r\n\0\xff\r\n"),
        ("☃".encode(), b"$3\r\n\xe2\x98\x83\r\n"),
    ],
)
def test_bulk_string(value: bytes, wanted: bytes) -> None:
    """A bulk string tells its size in bytes, and then holds any bytes; none of them ends it early."""
    assert bulk(value) == wanted


@pytest.mark.parametrize("number", [0, 1, -1, 42, 2**63 - 1, -(2**63)])
def test_integer(number: int) -> None:
    """An integer is a colon, its decimal digits, and CRLF."""
    assert integer(number) == f":{number}\r\n".encode()


def test_error_has_a_code() -> None:
    """An error is a minus, a code, and what is wrong."""
    assert error("no such thing") == b"-ERR no such thing\r\n"
    assert error("say the password", "NOAUTH") == b"-NOAUTH say the password\r\n"


@pytest.mark.parametrize("text", ["one\r\ntwo", "one\n+OK", "\r\n", "end\r\n", "cr\ronly"])
def test_error_is_one_line(text: str) -> None:
    """An error is one line, whatever its text holds: else a name with CRLF in it could forge a reply."""
    reply = error(text)
    assert reply.startswith(b"-ERR")
    assert reply.endswith(b"\r\n")
    assert reply.count(b"\n") == reply.count(b"\r") == 1


def test_array() -> None:
    """An array tells how many frames follow."""
    assert array([]) == b"*0\r\n"
    assert array([integer(1), bulk(b"a"), array([integer(2)])]) == b"*3\r\n:1\r\n$1\r\na\r\n*1\r\n:2\r\n"


def test_command() -> None:
    """A command is an array of bulk strings."""
    assert encode_command([b"SET", b"key", b"a\r\nb"]) == b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\na\r\nb\r\n"


@pytest.mark.parametrize("number", [0, 7, -1, 10, 2**63 - 1, -(2**63)])
def test_number_is_read(number: int) -> None:
    """A number is decimal digits, a minus before them where it is below zero."""
    assert parse_integer(str(number).encode()) == number


@pytest.mark.parametrize("text", [*map(str.encode, NO_NUMBERS), b"9" * 5000, b"\xff"], ids=range(len(NO_NUMBERS) + 2))
def test_number_is_strict(text: bytes) -> None:
    """Nothing else is a number, though int() takes much of it: no plus, no spaces, no underscores, no other digits."""
    assert parse_integer(text) is None
