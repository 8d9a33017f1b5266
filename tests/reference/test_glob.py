"""The patterns of KEYS and SCAN, beside a matcher that tries every way, and beside the clock."""

import random
from time import process_time

import pytest

from kvs.net.glob import MAX_PATTERN_BYTES, Glob
from kvs.resp.command import CommandError

QUICK_S = 0.010

CASES = [
    ("", "", True),
    ("", "a", False),
    ("*", "", True),
    ("*", "anything", True),
    ("?", "", False),
    ("h?llo", "hello", True),
    ("h?llo", "hllo", False),
    ("h*llo", "hllo", True),
    ("h*llo", "heeeello", True),
    ("*a*b", "aab", True),
    ("*a*b", "aaba", False),
    ("h[ae]llo", "hello", True),
    ("h[ae]llo", "hillo", False),
    ("h[^e]llo", "hello", False),
    ("h[^e]llo", "hallo", True),
    ("h[a-c]llo", "hbllo", True),
    ("h[c-a]llo", "hbllo", True),
    ("h[a-c]llo", "hdllo", False),
    (r"h\*llo", "h*llo", True),
    (r"h\*llo", "hello", False),
    (r"[\]]", "]", True),
    (r"[\^a]", "^", True),
    ("a\\", "a\\", True),
    ("[ab", "b", True),
    ("[]a]", "a", False),
    ("[^]", "^", True),
    ("a**b", "ab", True),
    ("a]", "a]", True),
    ("[*]", "*", True),
    ("[*]", "a", False),
    ("[?]", "a", False),
]


def fits(pattern: bytes, text: bytes) -> bool:
    """Tell whether a text is of a pattern, by trying every way: slow, and as the pattern is read."""
    if not pattern:
        return not text
    mark, rest = pattern[:1], pattern[1:]
    if mark == b"*":
        return any(fits(rest, text[at:]) for at in range(len(text) + 1))
    if not text:
        return False
    if mark == b"?":
        return fits(rest, text[1:])
    if mark == b"[":
        is_chosen, rest = chooses(rest, text[0])
        return is_chosen and fits(rest, text[1:])
    if mark == b"\\" and rest:
        mark, rest = rest[:1], rest[1:]
    return mark == text[:1] and fits(rest, text[1:])


def chooses(pattern: bytes, byte: int) -> tuple[bool, bytes]:
    """Tell whether the inside of a bracket names a byte; return what follows the bracket, too."""
    is_inverted = pattern.startswith(b"^")
    pattern = pattern[is_inverted:]
    is_named = False
    while pattern and not pattern.startswith(b"]"):
        if pattern.startswith(b"\\") and len(pattern) > 1:
            is_named |= pattern[1] == byte
            pattern = pattern[2:]
        elif pattern[1:2] == b"-" and len(pattern) > 2:
            is_named |= min(pattern[0], pattern[2]) <= byte <= max(pattern[0], pattern[2])
            pattern = pattern[3:]
        else:
            is_named |= pattern[0] == byte
            pattern = pattern[1:]
    return is_named != is_inverted, pattern[1:]


@pytest.mark.parametrize(("pattern", "text", "is_wanted"), CASES)
def test_a_pattern_takes_what_it_says(pattern: str, text: str, *, is_wanted: bool) -> None:
    """Stars, question marks, brackets, ranges and backslashes mean what they mean to Redis."""
    assert Glob.parse(pattern.encode()).matches(text.encode()) is is_wanted
    assert fits(pattern.encode(), text.encode()) is is_wanted, "the oracle of the test below"


def test_any_pattern_takes_what_trying_every_way_finds(rng: random.Random) -> None:
    """On twenty thousand short patterns and texts the quick matcher and the plain one agree."""
    taken = 0
    for _ in range(20_000):
        pattern = bytes(rng.choices(b"****??[[]]^-\\abb", k=rng.randrange(9)))
        text = bytes(rng.choices(b"aaabbbc-^]", k=rng.randrange(8)))
        glob = Glob.parse(pattern)
        assert glob.matches(text) is fits(pattern, text), (pattern, text)
        if glob.matches(text):
            taken += 1
            assert text.startswith(glob.prefix), "a prefix that a match lacks would hide keys from KEYS"
            assert glob.literal in {None, text}
    assert taken > 1_000, "the inputs are to be such that it comes to something"


def test_a_prefix_and_a_literal_are_found() -> None:
    """What every match begins with is known, and so is a pattern that only one text matches."""
    assert Glob.parse(b"user:*").prefix == b"user:"
    assert Glob.parse(b"a[b]\\*?").prefix == b"ab*"
    assert Glob.parse(b"user:1").literal == b"user:1"
    assert Glob.parse(b"user:1*").literal is None
    assert Glob.parse(b"").literal == b""


@pytest.mark.parametrize(
    "pattern",
    [b"*a" * 200 + b"*b", b"*" * 200 + b"x", b"*?" * 200, b"*" + b"[ab]" * 200 + b"c", b"?*" * 500 + b"b"],
    ids=["stars", "nothing but stars", "question marks", "brackets", "as long as may be"],
)
def test_two_hundred_stars_are_answered_at_once(pattern: bytes) -> None:
    """A pattern of 200 stars is compared with ten keys of a thousand bytes within 10 ms."""

    def seconds() -> float:
        began = process_time()
        glob = Glob.parse(pattern)
        for _ in range(10):
            glob.matches(b"a" * 1_000)
        return process_time() - began

    assert min(seconds() for _ in range(3)) < QUICK_S


def test_cost_is_the_text_s_alone() -> None:
    """Four times the text takes about four times as long, also where every star could begin anywhere."""
    glob = Glob.parse(b"*a" * 200 + b"*b")

    def seconds(size: int) -> float:
        began = process_time()
        glob.matches(b"a" * size)
        return process_time() - began

    small = min(seconds(8_000) for _ in range(3))
    assert min(seconds(32_000) for _ in range(3)) < 10 * small


def test_a_pattern_has_a_limit() -> None:
    """A pattern of more than a kilobyte is refused with an error that says so."""
    Glob.parse(b"a" * MAX_PATTERN_BYTES)
    with pytest.raises(CommandError, match="1,024 bytes"):
        Glob.parse(b"a" * (MAX_PATTERN_BYTES + 1))
