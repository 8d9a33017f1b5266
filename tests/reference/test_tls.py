"""TLS: clients that speak it are served, from version 1.2 on; others are sent away; files are checked first.

The certificates are made for each run by `openssl`, and hold for a day.
"""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from support.cli import Cli
from support.served import DEADLINE_S, Serve, Served
from support.wire import Wire, frame

from kvs.errors import KvsError
from kvs.net.probe import answers
from kvs.net.tls import server_context

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes certificates, is missing")


def openssl(*words: str) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=DEADLINE_S)


def make_pair(home: Path, name: str) -> tuple[str, str]:
    """Make a key and a certificate for localhost that vouches for itself; return the names of the two files."""
    certificate, key = str(home / f"{name}.crt"), str(home / f"{name}.key")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    openssl("req", "-x509", *curve, *names, "-days", "1", "-keyout", key, "-out", certificate)
    return certificate, key


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the certificates."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="session")
def pair(home: Path) -> tuple[str, str]:
    """Return a certificate and its key."""
    return make_pair(home, "server")


@pytest.fixture(params=["loop", "ready", "jobs"])
def served(serve: Serve, pair: tuple[str, str], request: pytest.FixtureRequest) -> Served:
    """Return a server that speaks TLS, of each design."""
    return serve("--tls-cert", pair[0], "--tls-key", pair[1], "--design", request.param, "--frame-timeout", "2")


def trusting(pair: tuple[str, str]) -> ssl.SSLContext:
    """Return a client's context that trusts this certificate, and checks the name."""
    return ssl.create_default_context(cafile=pair[0])


def shake_hands(served: Served, context: ssl.SSLContext) -> Wire:
    """Return an encrypted conversation."""
    return Wire(context.wrap_socket(served.connect(), server_hostname="localhost"))


def test_it_serves_encrypted(served: Served, pair: tuple[str, str]) -> None:
    """Commands, pipelined ones and large values go both ways; the certificate is the one that was given."""
    value = bytes(range(256)) * 8_192  # 2 MiB
    with shake_hands(served, trusting(pair)) as wire:
        assert wire.call("PING") == b"PONG"
        assert wire.call("SET", "big", value) == b"OK"
        wire.send(frame("GET", "big") * 5)
        assert [wire.reply() for _ in range(5)] == [value] * 5
        for _ in range(3):
            wire.send(b"".join(frame("SET", number, number) for number in range(500)))
            assert [wire.reply() for _ in range(500)] == [b"OK"] * 500
    assert served.stop() == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken(served: Served, pair: tuple[str, str], version: ssl.TLSVersion) -> None:
    """TLS 1.2 and TLS 1.3 are spoken."""
    context = trusting(pair)
    context.minimum_version = context.maximum_version = version
    with shake_hands(served, context) as wire:
        assert wire.call("PING") == b"PONG"
        assert isinstance(wire.socket, ssl.SSLSocket)
        assert wire.socket.version() == version.name.replace("_", ".")


def test_older_versions_are_refused(pair: tuple[str, str]) -> None:
    """Nothing older than TLS 1.2 is spoken."""
    assert server_context(*pair).minimum_version == ssl.TLSVersion.TLSv1_2


def test_plain_clients_are_sent_away(served: Served, pair: tuple[str, str]) -> None:
    """A client that does not encrypt is closed at once, and gets nothing; others are served meanwhile."""
    for said in (frame("SET", "key", "value"), b"PING\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 100):
        with Wire(served.connect()) as plain:
            plain.send(said)
            assert b"OK" not in (got := plain.rest())
            assert b"PONG" not in got
    with shake_hands(served, trusting(pair)) as wire:
        assert wire.call("GET", "key") is None


def test_a_handshake_has_a_deadline(served: Served, pair: tuple[str, str]) -> None:
    """Clients that connect and never begin, or never finish, to shake hands are closed, and hold nobody up."""
    with Wire(served.connect()) as silent, Wire(served.connect()) as slow:
        slow.send(b"\x16\x03\x01\x02\x00\x01")
        with shake_hands(served, trusting(pair)) as wire:
            assert wire.call("PING") == b"PONG"
        assert slow.rest() == b""
        assert silent.rest() == b""


def test_a_client_that_vanishes_harms_nobody(served: Served, pair: tuple[str, str]) -> None:
    """Connections that are reset in the middle of a handshake or of a conversation cost nothing but themselves."""
    for _ in range(20):
        talk = served.connect()
        talk.sendall(b"\x16\x03\x01\x02\x00\x01")
        talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        talk.close()
        wire = shake_hands(served, trusting(pair))
        wire.send(frame("GET", "key")[:-3])
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.close()
    with shake_hands(served, trusting(pair)) as wire:
        assert wire.call("PING") == b"PONG"
    assert "Traceback" not in served.stderr


def test_a_stop_says_goodbye(served: Served, pair: tuple[str, str]) -> None:
    """A stop ends an encrypted conversation in order: the client reads an end, not an error."""
    with shake_hands(served, trusting(pair)) as wire:
        assert wire.call("SET", "key", "value") == b"OK"
        assert served.stop() == 0
        assert wire.rest() == b""


def test_the_probe_speaks_it(served: Served) -> None:
    """The watchdog's probe asks encrypted where the server wants that, and takes silence for no answer."""
    assert answers(served.address, is_encrypted=True)
    served.signal(19)  # SIGSTOP
    assert not answers(served.address, is_encrypted=True, patience_s=0.2)
    served.signal(18)  # SIGCONT


def test_what_cannot_be_used_is_refused_in_a_line(cli: Cli, home: Path, pair: tuple[str, str]) -> None:
    """Files that are missing, are no PEM, do not belong together or are encrypted: one line, status 1, nothing made."""
    certificate, key = pair
    _, other_key = make_pair(home, "other")
    junk, locked = home / "junk", home / "locked.key"
    junk.write_bytes(b"\0junk\n")
    openssl("ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", str(locked))
    for words in (
        (str(home / "nowhere"), key),
        (certificate, str(home / "nowhere")),
        (str(home), key),
        (str(junk), key),
        (certificate, str(junk)),
        (certificate, other_key),
        (certificate, str(locked)),
        (key, certificate),
    ):
        with pytest.raises(KvsError, match=r"cannot (use|read) the"):
            server_context(*words)
        outcome = cli("serve", "--addr", "127.0.0.1:0", "--tls-cert", words[0], "--tls-key", words[1])
        outcome.expect(stdout=b"", exit_code=1)
        (line,) = outcome.stderr.splitlines()
        assert line.startswith(b"kvs: cannot ")
    assert list(cli.directory.iterdir()) == []
