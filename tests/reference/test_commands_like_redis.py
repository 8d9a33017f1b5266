"""The commands answer as a redis-server does, byte for byte, save where a difference is meant and says why.

The same conversations are held with a redis-server, where there is one on this machine, and with our own connections:
the corners one by one, and long random talk of two clients. What a redis-server answered to the corners is on record,
so that they can be compared where there is none.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.likeredis import Difference, Node, Ours, RedisServer, Talk, Words, is_installed

from kvs.net.options import ServerOptions
from kvs.resp.inline import split_line

GOLDEN = Path(__file__).parent / "golden"
CORNERS = GOLDEN / "corners.txt"
"""Commands, a line each, as one would type them: every option, every way to be wrong."""
RECORD = GOLDEN / "redis-7.0.txt"
"""What a redis-server of that version answers to them."""


def named(*names: str):
    """Return what tells whether words begin with one of these names."""
    wanted = [name.encode().split() for name in names]
    return lambda words: any(list(words[: len(name)]) == name for name in wanted)


def in_any_order(node: Node) -> object:
    """An array counts by what is in it."""
    return (node[0], sorted(node[1])) if isinstance(node[1], list) else node


def page_in_any_order(node: Node) -> object:
    """Of a page of SCAN, the keys count by what is in it."""
    return (node[0], [in_any_order(part) for part in node[1]]) if isinstance(node[1], list) else node


def its_kind(node: Node) -> object:
    """What a reply is counts, not what it says; errors count as they are."""
    return node if node[0].startswith((b"-", b"_", b"$-", b"*-")) else node[0][:1]


def pairs_in_any_order(node: Node) -> object:
    """A map counts by what is in it."""
    parts = node[1]
    return (node[0], sorted(zip(parts[::2], parts[1::2], strict=True))) if isinstance(parts, list) else node


def nothing(_node: Node) -> object:
    """Nothing has to be alike."""


def shows_bytes(words: Words) -> bool:
    """Tell whether an error would repeat bytes that are no text."""
    rest = b"".join(words[1:])
    return words[0] in {b"nonsense", b"hello"} and not (rest.isascii() and rest.decode().isprintable())


DIFFERENCES: Sequence[Difference] = (
    Difference("an empty cursor is nobody's", lambda words: words == [b"scan", b""], nothing),
    Difference("keys come in key order here, and in that of a hash table there", named("keys"), in_any_order),
    Difference("so do the pages of a walk", named("scan"), page_in_any_order),
    Difference("any key may come", named("randomkey"), its_kind),
    Difference("times and sizes are each server's own", named("time", "lastsave", "memory usage"), its_kind),
    Difference("each server counts its own connections", named("client id"), its_kind),
    Difference("each server has its own figures", named("info", "client list", "client info"), its_kind),
    Difference("what COMMAND tells is our own", named("command docs", "command info", "command count"), its_kind),
    Difference("each server has its settings in an order of its own", named("config get"), pairs_in_any_order),
    Difference("an error is text: other bytes of a word are shown as escapes", shows_bytes, nothing),
    Difference("HELLO tells a number and a version", named("hello"), its_kind),
)

OF_STRANGERS: Sequence[Difference] = (
    Difference("a stranger is not told which commands there are", named("nosuch"), nothing),
    Difference("nor is EXEC a case of its own for one", lambda words: words == [b"exec"], nothing),
)


def lines(text: str) -> Iterator[Words]:
    """Yield the words of each line."""
    return (split_line(line.encode()) for line in text.splitlines() if line)


def say_corners(talk: Talk, protocol: int) -> list[str]:
    """Say all corners, and return a line of what was said and heard for each."""
    talk.ask([b"FLUSHALL"])
    talk.ask([b"HELLO", b"%d" % protocol])
    return [f"{protocol} {b' '.join(words)!r} -> {talk.ask(words)!r}" for words in lines(CORNERS.read_text())]


@pytest.mark.parametrize("protocol", [2, 3])
def test_corners_are_answered_alike(protocol: int):
    """Each command of the list, one after the other, gets the reply that is on record from a redis-server."""
    heard = say_corners(Talk(Ours().connect(), DIFFERENCES), protocol)
    wanted = [line for line in RECORD.read_text().splitlines() if line.startswith(f"{protocol} ")]
    assert len(heard) == len(wanted)
    wrong = [f"Redis {there}\nhere  {here}" for there, here in zip(wanted, heard, strict=True) if there != here]
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Return a redis-server of our own."""
    if not is_installed():
        pytest.skip("there is no redis-server 7.0 to compare with")
    with RedisServer() as server:
        yield server


def test_the_record_is_true(redis: RedisServer, tmp_path: Path):
    """What is on record is what a redis-server answers."""
    heard: list[str] = []
    for protocol in (2, 3):
        talk = Talk(redis.connect(), DIFFERENCES)
        heard += say_corners(talk, protocol)
        talk.close()
    (tmp_path / "now.txt").write_text("\n".join(heard) + "\n")
    assert heard == RECORD.read_text().splitlines(), f"what it answers now is in {tmp_path / 'now.txt'}"


KEYS: Sequence[bytes] = (b"a", b"b", b"c", b"number", b"missing", b"", b"\x00\xff\r\n")
VALUES: Sequence[bytes] = (b"", b"1", b"-7", b"9223372036854775807", b"hello world", b"\r\n$5\r\n", b"0" * 300, b"\xff")
NUMBERS: Sequence[bytes] = (b"0", b"1", b"-1", b"3", b"-3", b"100", b"x", b"", b"9223372036854775807")
OPTIONS: Sequence[bytes] = (b"NX", b"xx", b"GET", b"KEEPTTL", b"EX", b"PX", b"REPLACE", b"DB", b"nonsense", b"PERSIST")
PATTERNS: Sequence[bytes] = (b"*", b"?", b"[a-c]", b"n*", b"*r", b"[^a]*", b"\\a", b"m?ss*", b"[", b"")
SHAPES: Sequence[str] = (
    *["SET K V", "GET K", "MULTI", "EXEC", "WATCH K"] * 4,
    "SET K V O",
    "SET K V O O",
    "GETSET K V",
    "GETDEL K",
    "GETEX K O",
    "SETNX K V",
    "MGET K K K",
    "MSET K V K V",
    "MSETNX K V K V",
    "INCR K",
    "DECR K",
    "INCRBY K N",
    "DECRBY K N",
    "APPEND K V",
    "STRLEN K",
    "GETRANGE K N N",
    "SUBSTR K N N",
    "SETRANGE K S V",
    "DEL K K",
    "UNLINK K",
    "EXISTS K K K",
    "TOUCH K",
    "TYPE K",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K",
    "COPY K K O",
    "COPY K K DB N",
    "TTL K",
    "PERSIST K",
    "DBSIZE",
    "KEYS P",
    "SCAN 0 MATCH P COUNT 1000",
    "SCAN 0 COUNT 1000 TYPE string",
    "RANDOMKEY",
    "FLUSHALL",
    "DISCARD",
    "UNWATCH",
    "WATCH K K",
    "PING",
    "ECHO V",
    "SELECT N",
    "HELLO 2",
    "HELLO 3",
    "RESET",
    "CLIENT SETNAME K",
    "CLIENT GETNAME",
    "CLIENT nonsense",
    "nonsense V",
)
CHOICES = {"K": KEYS, "V": VALUES, "N": NUMBERS, "S": NUMBERS[:8], "O": OPTIONS, "P": PATTERNS}


def some_words(rng: random.Random) -> list[bytes]:
    """Return the words of any command; now and then there is one too many, or one too few."""
    words = [rng.choice(CHOICES[word]) if word in CHOICES else word.encode() for word in rng.choice(SHAPES).split()]
    if rng.random() < 0.03 and words != [b"EXEC"]:  # there such an EXEC ends the transaction; here it is not heard
        words.append(rng.choice(VALUES))
    elif rng.random() < 0.03 and len(words) > 1:
        words.pop()
    if rng.random() < 0.1:
        words[0] = words[0].lower()
    # There such a key ends some time, and here it never begins.
    return some_words(rng) if {b"EX", b"PX"} & set(words[:-1]) and words[-1][:1].isdigit() else words


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("part", range(4))
def test_any_talk_is_answered_alike(redis: RedisServer, request: pytest.FixtureRequest, part: int, protocol: int):
    """Two clients say one thing after another, in any order, and each gets the reply that Redis gives."""
    rng = random.Random(f"{request.config.getoption('seed')} {part} {protocol}")
    ours = Ours()
    talks = [(Talk(redis.connect(), DIFFERENCES), Talk(ours.connect(), DIFFERENCES)) for _ in range(2)]
    said: list[str] = []
    for number, words in [(0, [b"FLUSHALL"]), *((number, [b"HELLO", b"%d" % protocol]) for number in range(2))]:
        for side in talks[number]:
            side.ask(words)
    for _ in range(2_500):
        number, words = rng.randrange(2), some_words(rng)
        there, here = (side.ask(words) for side in talks[number])
        said.append(f"client {number}: {words!r}")
        assert there == here, "\n".join([*said[-20:], f"Redis {there!r}", f"here  {here!r}"])
    for pair in talks:
        for side in pair:
            side.close()


PASSWORD_TALK = """
GET k
NOSUCH
PING
HELLO
HELLO 3
MULTI
EXEC
AUTH wrong
AUTH default wrong
AUTH nobody secret
HELLO 3 AUTH default wrong
HELLO 2 AUTH default wrong SETNAME me
AUTH secret
GET k
CLIENT GETNAME
AUTH wrong
GET k
RESET
GET k
HELLO 3 AUTH default secret SETNAME me
CLIENT GETNAME
GET k
MULTI
AUTH wrong
GET k
EXEC
QUIT
"""


def test_a_password_is_asked_for_alike(redis: RedisServer):
    """Who has not given the password is told so in Redis's words, and so is who gives a wrong one."""
    control = redis.connect()
    control.ask([b"CONFIG", b"SET", b"requirepass", b"secret"])
    differences = (*OF_STRANGERS, *DIFFERENCES)
    there = Talk(redis.connect(), differences)
    here = Talk(Ours(ServerOptions(password="secret")).connect(), differences)
    try:
        for words in lines(PASSWORD_TALK):
            assert there.ask(words) == here.ask(words), words
    finally:
        control.ask([b"CONFIG", b"SET", b"requirepass", b""])
        control.close()
        there.close()
        here.close()
