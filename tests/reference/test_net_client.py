"""The client and a server that does what it should: which words go over the wire, and by which ways."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted import Script, Scripted

import kvs
from kvs import DisconnectedError, InvalidKeyError, InvalidValueError, KvsClient, ProtocolError, RemoteError
from kvs.engine import MAX_KEY_BYTES, MAX_VALUE_BYTES
from kvs.net.batches import COMMAND_BYTES, COMMAND_KEYS, batch_commands
from kvs.net.pages import bounds_of
from kvs.net.remotestats import read_stats

pytestmark = pytest.mark.timeout(30)


class Little:
    """The smallest server: GET, SET, DEL and EXISTS on a dict. To anything else it answers as Redis would."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}

    def answer(self, words: list[bytes]) -> bytes:
        """Return the answer to a command."""
        match words:
            case [b"SET", key, value]:
                self.pairs[key] = value
                return b"+OK\r\n"
            case [b"GET", key] if key in self.pairs:
                return b"$%d\r\n%b\r\n" % (len(self.pairs[key]), self.pairs[key])
            case [b"GET", _]:
                return b"$-1\r\n"
            case [b"DEL", key]:
                return b":%d\r\n" % (self.pairs.pop(key, None) is not None)
            case [b"EXISTS", key]:
                return b":%d\r\n" % (key in self.pairs)
        return b"-ERR unknown command '%b', with args beginning with: \r\n" % words[0]


def serve(answer: Callable[[list[bytes]], bytes]) -> Script:
    """Return the script of a server that answers each command so."""
    return lambda peer: peer.serve(answer)


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Return the smallest server."""
    with Scripted(serve(Little().answer)) as server:
        yield server


def test_the_plain_commands_are_enough(server: Scripted) -> None:
    """set, get, remove and `in` ask for SET, GET, DEL and EXISTS, in version 2 and without a word before."""
    with KvsClient(server.address) as client:
        assert server.connections == 0, "a client connects when it is first used"
        client.set(b"k", b"")
        client[b"\0"] = b"\r\n$1\r\n"
        assert client.get(b"k") == b""
        assert client[b"\0"] == b"\r\n$1\r\n"
        assert client.get(b"none", b"default") == b"default"
        assert b"k" in client
        assert b"none" not in client
        client.remove(b"k")
        del client[b"\0"]
        with pytest.raises(KeyError):
            client.remove(b"k")
    words = [b" ".join(words) for words in server.heard_so_far()]
    assert words[:4] == [b"SET k ", b"SET \0 \r\n$1\r\n", b"GET k", b"GET \0"]
    assert words[4:] == [b"GET none", b"EXISTS k", b"EXISTS none", b"DEL k", b"DEL \0", b"DEL k"]
    assert server.connections == 1


def test_what_more_a_store_can_has_its_commands() -> None:
    """len, pop, clear, sync, compact, scan and write are one command each, or one round trip."""
    answers = {
        b"DBSIZE": b":7\r\n",
        b"GETDEL": b"$1\r\nv\r\n",
        b"KVS.SCAN": b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"EXEC": b"*2\r\n+OK\r\n:1\r\n",
    }
    with (
        Scripted(serve(lambda words: answers.get(words[0], b"+OK\r\n"))) as server,
        KvsClient(server.address) as client,
    ):
        assert len(client) == 7
        assert client.pop(b"k") == b"v"
        client.clear()
        client.sync()
        client.compact()
        assert list(client.scan(b"a", limit=5)) == [(b"a", b"b")]
        assert list(client.scan(prefix=b"p\xff", reverse=True)) == [(b"a", b"b")]
        assert list(iter(client)) == [b"a", b"b"]
        client.write([(b"a", b"1"), (b"b", None), (b"c", b"3")])
        client.write([(b"a", b"1"), (b"b", None)])
        heard = [b" ".join(words) for words in server.heard_so_far()]
    assert heard == [
        b"DBSIZE", b"GETDEL k", b"FLUSHALL", b"SAVE", b"KVS.COMPACT", b"KVS.SCAN a  LIMIT 5",
        b"KVS.SCAN p\xff q LIMIT 16 REVERSE", b"KVS.SCAN   LIMIT 10000 KEYS", b"MULTI", b"DISCARD",
        b"MULTI", b"MSET a 1 c 3", b"DEL b", b"EXEC", b"MULTI", b"MSET a 1", b"DEL b", b"EXEC",
    ]  # fmt: skip


def test_what_is_no_key_or_value_is_not_sent(server: Scripted) -> None:
    """A wrong type or size is refused here, as by any engine, and nothing reaches the server."""

    class Huge(bytes):
        """Bytes that say they are too many."""

        __slots__ = ()

        def __len__(self) -> int:
            return MAX_VALUE_BYTES + 1

    long = bytes(MAX_KEY_BYTES + 1)
    with KvsClient(server.address) as client:
        with pytest.raises(InvalidKeyError):
            client.set(long, b"")
        with pytest.raises(InvalidKeyError):
            client.remove(long)
        with pytest.raises(InvalidValueError):
            client.set(b"k", Huge())
        with pytest.raises(TypeError):
            client.get("k")  # type: ignore[call-overload]  # that is the point
        assert client.get(long) is None
        assert client.pop(long, b"d") == b"d"
        assert long not in client
        assert list(client.scan(limit=0)) == list(client.scan(b"b", b"a")) == list(client.scan(stop=b"")) == []
        with pytest.raises(ValueError, match="a limit is 0 or more, not -1"):
            client.scan(limit=-1)
        client.write([])
    assert server.connections == 0


def test_any_command_can_be_called(server: Scripted) -> None:
    """Call sends any words, text as UTF-8 and numbers as digits, and returns the reply or raises the error."""
    with KvsClient(server.address) as client:
        assert client.call("SET", "snowman ☃", -5) == b"OK"
        assert client.call(b"GET", "snowman ☃") == b"-5"
        with pytest.raises(RemoteError, match="unknown command 'NOPE'"):
            client.call("NOPE")
        with pytest.raises(TypeError, match="a word of a command is bytes, str or int, not float"):
            client.call("GET", 1.5)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ValueError, match="a command has at least its name"):
            client.call()


def test_many_commands_go_in_one_go(server: Scripted) -> None:
    """call_many returns replies in order, errors as values; a pipeline does so for what a block gathers."""
    with KvsClient(server.address) as client:
        replies = client.call_many(
            [["SET", f"k{number}", number] for number in range(1_000)] + [["NOPE"], ["GET", "k7"]]
        )
        assert replies[:1_000] == [b"OK"] * 1_000
        assert isinstance(replies[1_000], RemoteError)
        assert replies[1_001:] == [b"7"]
        assert client.call_many([]) == []
        with client.pipeline() as pipe:
            pipe.call("GET", "k1")
            assert pipe.replies == []
            pipe.call("GET", "none")
        assert pipe.replies == [b"1", None]
        server.heard_so_far()
        with contextlib.suppress(ZeroDivisionError), client.pipeline() as pipe:
            pipe.call("SET", "k1", "changed")
            pipe.call("SET", "k2", 1 // 0)
        assert client.get(b"k1") == b"1"
        assert server.heard_so_far() == [[b"GET", b"k1"]], "a block that raises sends nothing"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_time_outs_are_above_zero(seconds: float) -> None:
    """A time-out that is none is refused when the client is made; so is an address that is none."""
    with pytest.raises(ValueError, match="a time-out is above 0"):
        KvsClient(timeout_s=seconds)
    with pytest.raises(ValueError, match="a time-out is above 0"):
        KvsClient(connect_timeout_s=seconds)
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        KvsClient("nowhere")


def test_the_face_has_the_client() -> None:
    """kvs.KvsClient is the client, and importing kvs alone loads neither it nor any socket."""
    program = "import sys, kvs; print(sorted({'socket', 'ssl', 'kvs.net.client'} & set(sys.modules))); kvs.KvsClient"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=15)
    assert done.stdout == b"[]\n"
    assert repr(kvs.KvsClient("[::1]:4000")) == "<KvsClient '[::1]:4000'>"


def test_a_unix_socket_is_a_way(tmp_path: Path) -> None:
    """unix:PATH leads to a server on a Unix socket."""
    with Scripted(serve(Little().answer), path=tmp_path / "s") as server, KvsClient(server.address) as client:
        client[b"k"] = b"v"
        assert client[b"k"] == b"v"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a key and a certificate for 127.0.0.1, made by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    room = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kvs"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=room, check=True, capture_output=True, timeout=30)
    return room


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a server's half of the encryption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def test_an_encrypted_connection_is_a_way(certificate: Path) -> None:
    """tls:HOST:PORT encrypts, also a pipeline that fills the buffers of both sides."""
    echo = serve(lambda words: b"$%d\r\n%b\r\n" % (len(words[-1]), words[-1]))
    with (
        Scripted(echo, tls=server_context(certificate)) as server,
        KvsClient(server.address, ca_file=str(certificate / "cert.pem")) as client,
    ):
        assert client.get(b"key") == b"key"
        value = bytes(range(256)) * 512
        assert client.call_many([["ECHO", value]] * 60) == [value] * 60
        assert client.get(b"key") == b"key"
        assert server.connections == 1


def test_a_certificate_that_nobody_vouches_for_is_not_believed(certificate: Path) -> None:
    """Without reason to believe a server's certificate nothing is said to it, the password least of all."""
    context = server_context(certificate)
    with Scripted(serve(Little().answer), tls=context) as server:
        place = server.address.removeprefix("tls:127.0.0.1")
        cases = [
            (server.address, None, "its certificate is not believed: self-signed certificate"),
            (
                f"tls:localhost{place}",
                str(certificate / "cert.pem"),
                "its certificate is not believed: Hostname mismatch",
            ),
            (server.address, "/no/such/file", "No such file"),
        ]
        for address, ca_file, reason in cases:
            client = KvsClient(address, ca_file=ca_file, password="s3cret")
            with client, pytest.raises(DisconnectedError, match=reason) as caught:
                client.get(b"k")
            assert str(caught.value).startswith(f"cannot reach {address}: ")
        assert server.heard_so_far() == []


def test_a_server_that_does_not_shake_hands_is_unreachable() -> None:
    """A server that takes the connection and says nothing is given up when the time to connect is over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tls:127.0.0.1:{listener.getsockname()[1]}"
        with (
            KvsClient(address, connect_timeout_s=0.1) as client,
            pytest.raises(DisconnectedError, match=r"cannot reach tls:[\d.:]+: no answer within 0\.1 s") as caught,
        ):
            client.get(b"k")
        assert caught.value.cause == "unreachable"


def test_a_batch_is_few_commands_and_none_too_large() -> None:
    """A batch's commands hold every step once, in commands of a bounded size, save where one pair is larger."""
    batch: dict[bytes, bytes | None] = {b"%d" % number: bytes(100) for number in range(25_000)}
    batch |= {b"gone%d" % number: None for number in range(25_000)}
    batch |= {b"large": bytes(3 * COMMAND_BYTES), b"": b""}
    found: dict[bytes, bytes | None] = {}
    for name, *words in batch_commands(batch):
        assert len(words) <= COMMAND_KEYS + 2
        if name == b"MSET":
            assert sum(map(len, words)) <= COMMAND_BYTES + 4 * COMMAND_BYTES * (b"large" in words)
            found.update(zip(words[::2], words[1::2], strict=True))
        else:
            assert name == b"DEL"
            found.update(dict.fromkeys(words))
    assert found == batch
    assert list(batch_commands({})) == []


@pytest.mark.parametrize(
    ("start", "stop", "prefix", "wanted"),
    [
        (None, None, None, (b"", b"")),
        (b"a", b"b", None, (b"a", b"b")),
        (b"b", b"b", None, None),
        (None, b"", None, None),
        (None, None, b"a\xff", (b"a\xff", b"b")),
        (None, None, b"\xff\xff", (b"\xff\xff", b"")),
        (None, b"\xff\xff\x01", b"\xff\xff", (b"\xff\xff", b"\xff\xff\x01")),
        (b"ab", b"ac", b"a", (b"ab", b"ac")),
        (b"c", None, b"a", None),
    ],
)
def test_the_bounds_of_a_scan_become_start_and_stop(
    start: bytes | None, stop: bytes | None, prefix: bytes | None, wanted: tuple[bytes, bytes] | None
) -> None:
    """A prefix is a start and a stop, and an empty stop means to the end only where it was not given as a bound."""
    found = bounds_of(start, stop, prefix, is_reverse=False)
    assert (found and (found.start, found.stop)) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "the server is not one of kvs"),
        (b"# Keyspace\r\ndb0:keys=3,expires=0\r\n", "the server is not one of kvs"),
        (b"engine:log\r\nkeys:3\r\nlive_bytes:1\r\n", "dead_bytes"),
        (b"engine:log\r\nkeys:+3\r\nlive_bytes:1\r\ndead_bytes:1\r\n", "the server is not one of kvs"),
    ],
)
def test_figures_that_are_missing_are_named(text: bytes, complaint: str) -> None:
    """A server that does not tell the figures of its engine is told from one that does."""
    with pytest.raises(ProtocolError, match=complaint):
        read_stats(text)


def test_figures_are_numbers_where_they_are() -> None:
    """Whole numbers, fractions and words are told apart; a value may have colons."""
    text = b"engine:log\r\nkeys:3\r\nlive_bytes:1\r\ndead_bytes:2\r\nlast_sync:1.5\r\nmode:a:b\r\nodd:1_0.0\r\n\r\n"
    assert read_stats(text).details == {"last_sync": 1.5, "mode": "a:b", "odd": "1_0.0"}
