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

RECORD = Path(__file__).parent / "golden" / "redis-7.0.txt"


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

CORNERS = r"""
PING
PING hello
PING a b
ECHO hello
ECHO
SELECT 0
SELECT 1
SELECT -1
SELECT x
SELECT 99999999999999999999
NOSUCH
NOSUCH a "b c" d
"no such"
GET
GET a b
GET missing
SET
SET k
SET k v
get k
Get k
SET k v NX
SET k w XX
SET k w NX XX
SET k w XX NX
SET k x GET
SET fresh x GET
SET fresh2 x NX GET
SET fresh2 y NX GET
SET fresh3 x XX GET
SET k v KEEPTTL
SET k v KEEPTTL NX
SET k v nonsense
SET k v EX
SET k v EX x
SET k v EX 0
SET k v EX -1
SET k v PX 0
SET k v EXAT 0
SET k v KEEPTTL EX 10
SET k v EX 10 KEEPTTL
SET k v EX 10 PX 10
GETEX k
GETEX k PERSIST
GETEX missing
GETEX k KEEPTTL
GETEX k PERSIST EX 10
GETEX k EX
GETEX k EX 0
GETEX k NX
GETSET k v2
GETSET new v
GETDEL new
GETDEL new
SETNX new v
SETNX new v
MGET k missing new k
MGET
MSET a 1 b 2
MSET a
MSET a 1 b
MSET a 1 a 2
GET a
MSETNX a 1 c 3
EXISTS c
MSETNX c 3 d 4
MSETNX c
MSETNX c 1 d
INCR n
INCR n
DECR n
INCRBY n 10
INCRBY n -3
INCRBY n 1.5
INCRBY n ""
INCRBY n " 1"
INCRBY n +1
INCRBY n 01
INCRBY n 9223372036854775807
INCRBY n 9223372036854775808
DECRBY n 9223372036854775807
DECRBY n 9223372036854775807
DECRBY n -9223372036854775808
DECRBY n -9223372036854775807
SET n 9223372036854775807
INCR n
SET n -9223372036854775808
DECR n
SET n " 1"
INCR n
SET n 1x
INCR n
SET n ""
INCR n
SET n 01
INCR n
SET n -0
INCR n
SET n 12345678901234567890
INCR n
APPEND s hello
APPEND s " world"
APPEND s ""
APPEND empty ""
EXISTS empty
STRLEN s
STRLEN missing
GETRANGE s 0 4
GETRANGE s -5 -1
GETRANGE s 0 -1
GETRANGE s 5 2
GETRANGE s -1 -5
GETRANGE s -100 3
GETRANGE s 3 100
GETRANGE s 100 200
GETRANGE s -100 -50
GETRANGE s -100 -100
GETRANGE s 0 -100
GETRANGE missing 0 -1
GETRANGE s a 1
GETRANGE s 0 b
SUBSTR s 0 4
SETRANGE s 6 Redis
SETRANGE s 20 far
SETRANGE gap 3 x
SETRANGE missing 3 ""
EXISTS missing
SETRANGE s 3 ""
SETRANGE s -1 x
SETRANGE s x y
SETRANGE s 536870912 x
SETRANGE s 536870911 ""
TYPE s
TYPE missing
EXISTS s s missing
EXISTS
TOUCH s s missing
DEL s s missing
DEL
UNLINK a b missing
RENAME k k2
RENAME missing x
RENAME k2 k2
RENAME missing missing
RENAMENX k2 k3
SET k4 v
RENAMENX k3 k4
RENAMENX k3 k3
RENAMENX missing k9
COPY k3 k5
COPY k3 k5
COPY k3 k5 REPLACE
COPY k3 k3
COPY k3 k5 DB
COPY k3 k5 DB x
COPY k3 k5 DB 1
COPY k3 k6 DB 0
COPY k3 k7 DB 0 REPLACE
COPY k3 k5 nonsense
COPY missing k8
COPY missing missing
TTL k3
PTTL k3
TTL missing
PTTL missing
EXPIRETIME k3
PEXPIRETIME missing
PERSIST k3
PERSIST missing
DBSIZE
DBSIZE x
KEYS *
KEYS k*
KEYS k?
KEYS [kn]*
KEYS [^k]*
KEYS [a-m]*
KEYS [m-a]*
KEYS k3
KEYS nope
KEYS k\3
KEYS ""
KEYS
SCAN 0 COUNT 1000
SCAN 0 MATCH k* COUNT 1000
SCAN 0 MATCH nope COUNT 1000
SCAN 0 COUNT 1000 TYPE string
SCAN 0 COUNT 1000 TYPE list
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT x
SCAN 0 COUNT
SCAN 0 MATCH
SCAN 0 nonsense 1
SCAN x
SCAN ""
SCAN
RANDOMKEY
MEMORY USAGE k3
MEMORY USAGE missing
MEMORY USAGE k3 SAMPLES 5
MEMORY USAGE k3 SAMPLES
MEMORY USAGE k3 SAMPLES x
MEMORY USAGE k3 SAMPLES -1
MEMORY USAGE k3 nonsense 5
MEMORY USAGE
MEMORY nonsense
MEMORY
TIME
TIME x
LASTSAVE
BGSAVE nonsense
BGREWRITEAOF x
SAVE x
SHUTDOWN nonsense
SHUTDOWN SAVE NOSAVE
SHUTDOWN ABORT
SHUTDOWN ABORT NOW
CLIENT
CLIENT nonsense
CLIENT ID
CLIENT ID x
CLIENT GETNAME
CLIENT SETNAME worker-1
CLIENT GETNAME
CLIENT SETNAME "a b"
CLIENT SETNAME "a\nb"
CLIENT SETNAME
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT INFO
CLIENT LIST
CLIENT LIST TYPE normal
CLIENT LIST TYPE nonsense
CLIENT LIST TYPE pubsub
CLIENT LIST ID 999999
CLIENT LIST ID x
CLIENT LIST ID -1
CLIENT LIST ID
CLIENT LIST nonsense
CLIENT LIST TYPE normal x
CLIENT KILL
CLIENT KILL nowhere:1
CLIENT KILL ID x
CLIENT KILL ID 0
CLIENT KILL ID 999999
CLIENT KILL ID 999999 ADDR
CLIENT KILL TYPE nonsense
CLIENT KILL ADDR nowhere:1
CLIENT KILL LADDR nowhere:1
CLIENT KILL USER nobody
CLIENT KILL nonsense 1
CLIENT KILL ID 999999 SKIPME yes
CLIENT KILL ID 999999 SKIPME maybe
CLIENT KILL TYPE pubsub
CLIENT NO-EVICT on
CLIENT NO-EVICT OFF
CLIENT NO-EVICT maybe
CONFIG GET save
CONFIG GET maxmemory
CONFIG GET maxmemory-pol*
CONFIG GET MAXMEMORY
CONFIG GET databases
CONFIG GET nonsense
CONFIG GET maxmemory maxmemory maxmemory-policy
CONFIG GET
CONFIG SET
CONFIG SET save
CONFIG SET save ""
CONFIG SET nonsense 1
CONFIG SET maxmemory 0 save
CONFIG nonsense
CONFIG
COMMAND nonsense
COMMAND COUNT
COMMAND COUNT x
COMMAND INFO nonsense
COMMAND DOCS nonsense
COMMAND GETKEYS GET k
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS MSET
COMMAND GETKEYS PING x
COMMAND GETKEYS nonsense x
COMMAND GETKEYS GET
COMMAND GETKEYS GET a b
COMMAND GETKEYS MEMORY USAGE k
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY nonsense x
COMMAND LIST FILTERBY MODULE none
COMMAND LIST nonsense
INFO
INFO server
INFO nonsense
INFO server clients
HELLO x
HELLO 1
HELLO 4
HELLO 2x
HELLO 3 nonsense
HELLO 3 AUTH
HELLO 3 AUTH default
HELLO 3 AUTH nobody x
HELLO 3 SETNAME
HELLO 3 SETNAME "a b"
HELLO 2 SETNAME me
CLIENT GETNAME
HELLO 3 AUTH default anything SETNAME you
CLIENT GETNAME
GET missing
CONFIG GET save
HELLO 2
GET missing
AUTH
AUTH x
AUTH default x
AUTH nobody x
AUTH a b c
FLUSHALL nonsense
FLUSHALL SYNC ASYNC
FLUSHDB SYNC
DBSIZE
RANDOMKEY
KEYS *
SCAN 0
FLUSHALL ASYNC
RESET
RESET x
EXEC
DISCARD
UNWATCH
WATCH
MULTI
MULTI
SET k v
GET k
INCR k
EXEC
MULTI
EXEC
MULTI
NOSUCH
SET k other
EXEC
GET k
MULTI
GET
DISCARD
MULTI
GET k
DISCARD
DISCARD
MULTI
WATCH k
GET k
EXEC
WATCH k
SET k mine
MULTI
GET k
EXEC
WATCH k
MULTI
GET k
EXEC
WATCH k
SET k mine
UNWATCH
MULTI
GET k
EXEC
WATCH k
SET k mine
MULTI
DISCARD
MULTI
GET k
EXEC
WATCH nothere
DEL nothere
MULTI
PING
EXEC
WATCH nothere k
FLUSHALL
MULTI
PING
EXEC
WATCH nothere
FLUSHALL
MULTI
PING
EXEC
MULTI
UNWATCH
SELECT 0
CLIENT GETNAME
HELLO 3
GET missing
HELLO 2
GET missing
EXEC
MULTI
SAVE
EXEC
MULTI
SHUTDOWN NOSAVE
EXEC
MULTI
CLIENT nonsense
EXEC
MULTI
MEMORY
EXEC
MULTI
HELLO 4
AUTH x
EXEC
MULTI
SET a 1
RESET
EXEC
GET a
WATCH a
SET a 2
MULTI
NOSUCH
EXEC
MULTI
KEYS *
RENAME a b
KEYS *
DBSIZE
RENAME a b
FLUSHALL
DBSIZE
SET z 1
SCAN 0
EXEC
DBSIZE
"""


def lines(text: str) -> Iterator[Words]:
    """Yield the words of each line."""
    return (split_line(line.encode()) for line in text.splitlines() if line)


def say_corners(talk: Talk, protocol: int) -> list[str]:
    """Say all corners, and return a line of what was said and heard for each."""
    talk.ask([b"FLUSHALL"])
    talk.ask([b"HELLO", b"%d" % protocol])
    return [f"{protocol} {b' '.join(words)!r} -> {talk.ask(words)!r}" for words in lines(CORNERS)]


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
