"""Words: what the words of a command mean, and Redis's errors for those that mean nothing."""

from kvs.resp.command import CommandError
from kvs.resp.frame import parse_integer


def number_of(word: bytes) -> int:
    """Return the integer that a word is.

    Raises:
        CommandError: it is none of 64 bits.
    """
    number = parse_integer(word)
    if number is None:
        raise CommandError("value is not an integer or out of range")
    return number


def check_database(word: bytes) -> None:
    """See that a word is the number of the one database that there is.

    Raises:
        CommandError: it is another number, or none.
    """
    number = number_of(word)
    if not -(1 << 31) <= number < 1 << 31:
        raise CommandError("value is out of range, value must between -2147483648 and 2147483647")
    if number != 0:
        raise CommandError("DB index is out of range")


def text_of(word: bytes) -> str:
    r"""Return a word as it can be shown, whatever its bytes.

    >>> text_of(b"caf\xe9")
    'caf\\xe9'
    """
    return word.decode("utf-8", "backslashreplace")


def wrong_syntax() -> CommandError:
    """Return the error for options that make no sense."""
    return CommandError("syntax error")


def no_lifetimes() -> CommandError:
    """Return the error for whoever wants a key to end by itself."""
    return CommandError("a time to live is not supported: keys stay until they are removed")
