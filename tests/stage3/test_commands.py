"""Tasks 3.2 and 3.3: what each command answers, byte for byte: first without a server, then over the wire."""

from collections.abc import Callable

import pytest
from broken_frames import BROKEN
from support.hosted import FaultyEngine
from support.talk import Talk
from support.wire import ErrorReply, frame

import kvs

VALUES = {
    "empty": b"",
    "line_breaks": b"a\r\nb\n\r\r\n",
    "zeros": bytes(10),
    "looks_like_replies": b"+OK\r\n$-1\r\n-ERR\r\n",
    "looks_like_a_command": frame("DEL", "key"),
    "not_text": bytes(range(256)),
    "unicode": "☃ снеговик".encode(),
    "a_mebibyte": b"0123456789abcdef" * 65_536,
}

values = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)


# What commands answer.


def test_ping(talk: Talk) -> None:
    """PING is answered by PONG, and PING with a word by the word."""
    talk.command("PING")
    talk.expect(b"+PONG\r\n")
    talk.command("PING", "hello\r\n")
    talk.expect(b"$7\r\nhello\r\n\r\n")


@values
def test_echo(talk: Talk, value: bytes) -> None:
    """ECHO is answered by its word, whatever bytes it has."""
    talk.command("ECHO", value)
    talk.expect(b"$%d\r\n%b\r\n" % (len(value), value))


def test_get_of_nothing(talk: Talk) -> None:
    """GET of a key that has no value is answered by null, which is not the empty value."""
    talk.command("GET", "get_of_nothing")
    talk.expect(b"$-1\r\n")


@values
def test_set_and_get(talk: Talk, value: bytes) -> None:
    """SET is answered by OK, and GET by what was set, whatever bytes it has."""
    talk.command("SET", "set_and_get", value)
    talk.expect(b"+OK\r\n")
    talk.command("GET", "set_and_get")
    talk.expect(b"$%d\r\n%b\r\n" % (len(value), value))


@pytest.mark.parametrize("key", [b"", b"a key\r\n", b"\0\xff", "☃".encode(), b"k" * 65_535], ids=range(5))
def test_any_key(talk: Talk, key: bytes) -> None:
    """A key may be any bytes, and is another than its beginning."""
    talk.command("SET", key, "value")
    talk.expect(b"+OK\r\n")
    talk.command("GET", key)
    talk.expect(b"$5\r\nvalue\r\n")
    talk.command("GET", b"any_key:" + key[:-1])
    talk.expect(b"$-1\r\n")


def test_set_replaces(talk: Talk) -> None:
    """A second SET of a key replaces its value."""
    assert talk.call("SET", "replaced", "a long first value") == b"OK"
    assert talk.call("SET", "replaced", "2") == b"OK"
    assert talk.call("GET", "replaced") == b"2"


def test_del(talk: Talk) -> None:
    """DEL removes keys, and is answered by how many of them were there."""
    talk.call("SET", "del1", "1")
    talk.call("SET", "del2", "2")
    talk.call("SET", "del3", "3")
    talk.command("DEL", "del1", "del_nothing", "del2")
    talk.expect(b":2\r\n")
    assert talk.call("GET", "del1") is None
    assert talk.call("GET", "del2") is None
    assert talk.call("GET", "del3") == b"3"
    talk.command("DEL", "del1")
    talk.expect(b":0\r\n")


def test_del_counts_a_key_once(talk: Talk) -> None:
    """DEL of the same key twice finds it once: the second time it is gone."""
    talk.call("SET", "del_twice", "1")
    assert talk.call("DEL", "del_twice", "del_twice") == 1


def test_exists(talk: Talk) -> None:
    """EXISTS is answered by how many of its keys are there; a key that it names twice counts twice."""
    talk.call("DEL", "exists1", "exists2", "exists3")
    talk.call("SET", "exists1", "1")
    talk.call("SET", "exists2", "")
    talk.command("EXISTS", "exists1")
    talk.expect(b":1\r\n")
    assert talk.call("EXISTS", "exists3") == 0
    assert talk.call("EXISTS", "exists1", "exists3", "exists2") == 2
    assert talk.call("EXISTS", "exists1", "exists1", "exists2") == 3


def test_removed_key_does_not_exist(talk: Talk) -> None:
    """After a DEL the key does not exist, and can be set anew."""
    talk.call("SET", "removed", "1")
    talk.call("DEL", "removed")
    assert talk.call("EXISTS", "removed") == 0
    talk.call("SET", "removed", "2")
    assert talk.call("GET", "removed") == b"2"


@pytest.mark.parametrize("name", ["get", "GET", "Get", "gEt"])
def test_names_in_any_case(talk: Talk, name: str) -> None:
    """A command's name may be in capitals or not; keys are what they are."""
    talk.call("DEL", "case", "CASE")
    talk.call("SET", "Case", "value")
    assert talk.call(name, "Case") == b"value"
    assert talk.call(name, "case") is None
    assert talk.call(name, "CASE") is None


def test_quit(talk: Talk) -> None:
    """QUIT is answered by OK, then the server closes the connection; what stands behind it is not carried out."""
    talk.send(frame("SET", "quit", "1") + frame("QUIT") + frame("ECHO", "never") + frame("PING"))
    talk.expect(b"+OK\r\n+OK\r\n")
    talk.expect_end()


# Many commands.


def test_pipeline(talk: Talk) -> None:
    """A thousand commands that come at once get a thousand replies, in their order."""
    commands, replies = [], []
    for number in range(250):
        commands += [frame("SET", "pipeline", number), frame("GET", "pipeline"), frame("EXISTS", "pipeline")]
        replies += [b"+OK\r\n", b"$%d\r\n%d\r\n" % (len(str(number)), number), b":1\r\n"]
        commands.append(frame("NONSENSE") if number % 50 == 0 else frame("DEL", "pipeline"))
        replies.append(b"-" if number % 50 == 0 else b":1\r\n")
    talk.send(b"".join(commands))
    for reply in replies:
        if reply == b"-":
            assert isinstance(talk.reply(), ErrorReply)
        else:
            talk.expect(reply)


@pytest.mark.parametrize(
    "words", [("SET", "cut", "a\r\nb"), ("GET", "cut"), ("DEL", "cut", "other")], ids=lambda w: w[0]
)
def test_command_in_two_pieces(talk: Talk, words: tuple[str, ...]) -> None:
    """A command that comes in two pieces is answered, wherever it was cut, and not before it is whole."""
    data = frame(*words)
    for cut in range(1, len(data)):
        talk.call("SET", "cut", "a\r\nb")
        talk.send(frame("PING") + data[:cut])  # the answer to PING tells that the piece behind it has come, too
        talk.expect(b"+PONG\r\n")
        talk.send(data[cut:] + frame("PING"))
        wanted = {"SET": b"+OK\r\n", "GET": b"$4\r\na\r\nb\r\n", "DEL": b":1\r\n"}[words[0]]
        talk.expect(wanted + b"+PONG\r\n")


def test_command_byte_by_byte(talk: Talk) -> None:
    """A command that comes byte by byte is answered as any other."""
    for byte in frame("SET", "bytes", "1\r\n2") + frame("GET", "bytes"):
        talk.send(bytes([byte]))
    talk.expect(b"+OK\r\n$4\r\n1\r\n2\r\n")


# Errors.


def test_unknown_command(talk: Talk) -> None:
    """An unknown command is answered by an error that names it, and the conversation goes on."""
    for words in (("NONSENSE",), ("NONSENSE", "key", "value"), ("",), ("GETT", "key")):
        reply = talk.call(*words)
        assert isinstance(reply, ErrorReply), f"{words} was answered by {reply!r}"
        assert str(reply).startswith("ERR unknown command")
        assert words[0] in str(reply)
    talk.command("PING")
    talk.expect(b"+PONG\r\n")


@pytest.mark.parametrize("name", [b"NO\r\nNAME", b"\r\n+OK", b"NO\nNAME", b"\xff\xfe\0", "ИМЯ".encode()], ids=repr)
def test_error_stays_one_line(talk: Talk, name: bytes) -> None:
    """An error reply is one line, whatever was in the command's name: the reply behind it is the next command's."""
    talk.send(frame(name) + frame(b"GET", name, name) + frame("PING"))
    assert isinstance(talk.reply(), ErrorReply)
    assert isinstance(talk.reply(), ErrorReply)
    talk.expect(b"+PONG\r\n")


@pytest.mark.parametrize(
    "words",
    [
        ("ECHO",),
        ("ECHO", "a", "b"),
        ("GET",),
        ("GET", "arity", "b"),
        ("SET",),
        ("SET", "arity"),
        ("DEL",),
        ("EXISTS",),
        ("PING", "a", "b"),
    ],
    ids=" ".join,
)
def test_wrong_number_of_words(talk: Talk, words: tuple[str, ...]) -> None:
    """A command with too few or too many words is answered by an error that says so, and nothing is done."""
    talk.call("DEL", "arity")
    talk.command(*words)
    talk.expect(f"-ERR wrong number of arguments for '{words[0].lower()}' command\r\n".encode())
    assert talk.call("EXISTS", "arity") == 0


def test_key_too_long(talk: Talk) -> None:
    """A key that the store does not take is answered by an error, and the conversation goes on."""
    reply = talk.call("SET", b"k" * 65_536, "value")
    assert isinstance(reply, ErrorReply)
    assert isinstance(talk.call("DEL", "fine", b"k" * 65_536), ErrorReply | int)
    assert talk.call("PING") == b"PONG"


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_frame(talk: Talk, data: bytes) -> None:
    """What is no command is answered by an error, after the replies to the commands before it; then it is over."""
    talk.send(frame("ECHO", "before") + data)
    talk.expect(b"$6\r\nbefore\r\n-ERR Protocol error")
    talk.rest()


@pytest.mark.parametrize(
    "error",
    [kvs.StorageError("the disk is gone"), ValueError("a bug\r\n+OK"), OSError(5, "I/O"), KeyError(b"bad")],
    ids=lambda error: type(error).__name__,
)
def test_engine_raises(talk_with: Callable[[kvs.Engine], Talk], error: Exception) -> None:
    """What an engine raises reaches the client as an error reply, one a command, and the conversation goes on."""
    talk = talk_with(FaultyEngine(error))
    talk.send(frame("SET", "good", "1") + frame("GET", "bad") + frame("SET", "bad", "1") + frame("GET", "good"))
    talk.expect(b"+OK\r\n")
    assert isinstance(talk.reply(), ErrorReply)
    assert isinstance(talk.reply(), ErrorReply)
    talk.expect(b"$1\r\n1\r\n")


def test_engine_error_is_told(talk_with: Callable[[kvs.Engine], Talk]) -> None:
    """The error reply says what the engine said."""
    reply = talk_with(FaultyEngine(kvs.StorageError("the disk is gone"))).call("GET", "bad")
    assert isinstance(reply, ErrorReply)
    assert "the disk is gone" in str(reply)


# Beyond the tasks.


@pytest.mark.extension
def test_inline_commands(talk: Talk) -> None:
    """A line of words is a command too, for people at telnet, and both kinds may follow each other."""
    talk.send(b'SET inline "two words"\r\n' + frame("GET", "inline") + b"get inline\n\r\nPING\r\n")
    talk.expect(b"+OK\r\n" + b"$9\r\ntwo words\r\n" * 2 + b"+PONG\r\n")


@pytest.mark.extension
def test_no_words(talk: Talk) -> None:
    """An array of no words is answered by nothing."""
    talk.send(b"*0\r\n*-1\r\n" + frame("PING"))
    talk.expect(b"+PONG\r\n")
