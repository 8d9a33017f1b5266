"""The options of `kvs serve`: each by flag and by variable, each with its effect, and nonsense refused."""

import inspect
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from support.cli import Cli
from support.served import DEADLINE_S, Serve, Served
from support.wire import ErrorReply, Wire, frame

from kvs.cli.verbs import serve as verb

Start: TypeAlias = Callable[..., Served]
NUMBERS = {
    "--threads": "0",
    "--sync-interval": "-1",
    "--segment-bytes": "0",
    "--compact-dead-bytes": "-1",
    "--compact-dead-ratio": "2",
    "--max-clients": "0",
    "--idle-timeout": "-1",
    "--frame-timeout": "0",
    "--send-timeout": "0",
    "--drain-timeout": "-1",
    "--max-reply-bytes": "0",
}
"""Options that take a number, each with one that is out of its range."""
CHOICES = ("--engine", "--pool", "--design", "--sync", "--log-format", "--log-level")
ADDRESSES = ("--addr", "--metrics-addr")
FILES = ("--password-file", "--tls-cert", "--tls-key", "--pidfile")
PASSWORD = "open-sesame-4711"


def variable(flag: str) -> str:
    """Return the variable that says the same as a flag."""
    return "KVS_" + flag.removeprefix("--").replace("-", "_").upper()


def ask(served: Served, *words: bytes | str | int) -> object:
    """Ask one thing on a connection of its own."""
    with Wire(served.connect()) as wire:
        return wire.call(*words)


def test_every_option_has_its_variable() -> None:
    """Each option of `kvs serve` is read from the variable of its name, too."""
    found = {}
    for parameter in inspect.signature(verb.run).parameters.values():
        for option in getattr(parameter.annotation, "__metadata__", ()):
            (flag,) = (word for word in (option.default, *option.param_decls) if str(word).startswith("--"))
            found[flag] = option.envvar
    del found["--version"]  # which is asked for once, and is no setting
    assert found == {flag: variable(flag) for flag in found}
    assert {*NUMBERS, *CHOICES, *ADDRESSES, *FILES, "--dir", "--unprotected"} == found.keys()


@pytest.mark.parametrize("flag", [*NUMBERS, *CHOICES, *ADDRESSES])
def test_nonsense_is_wrong_usage(cli: Cli, flag: str) -> None:
    """Nonsense is wrong usage, by flag and by variable, said before anything is made; so is a number out of range."""
    nonsense = ["nonsense"] + ([NUMBERS[flag], "nan"] if flag in NUMBERS else [])
    for word in nonsense:
        cli("serve", "--addr", "127.0.0.1:0", flag, word).expect_usage()
        cli("serve", env={"KVS_ADDR": "127.0.0.1:0", variable(flag): word}).expect_usage()
    assert [path for path in cli.directory.rglob("*") if path.suffix == ".data"] == []


def test_too_much_is_wrong_usage(cli: Cli) -> None:
    """Words, unknown options, half a pair and an empty directory are wrong usage."""
    for words in (["now"], ["--no-such-flag"], ["--tls-cert", "x"], ["--tls-key", "x"], ["--dir", ""]):
        cli("serve", "--addr", "127.0.0.1:0", *words).expect_usage()
    cli("serve", "--addr", "tls:127.0.0.1:0").expect_usage()
    cli("serve", "--metrics-addr", "unix:x").expect_usage()


@pytest.mark.parametrize("way", ["flag", "variable"])
class TestEffects:
    """Each option does what it says, whichever way it is given."""

    @pytest.fixture
    def start(self, way: str, serve: Serve) -> Start:
        """Return what starts a server with options, given one way or the other."""

        def started(**options: str) -> Served:
            flags = {"--" + name.replace("_", "-"): value for name, value in options.items()}
            if way == "flag":
                return serve(*(word for flag, value in flags.items() for word in (flag, value) if word))
            return serve(env={variable(flag): value or "1" for flag, value in flags.items()})

        return started

    def test_engine(self, start: Start) -> None:
        """--engine chooses the engine; the next start without it takes the one that the directory remembers."""
        served = start(engine="sqlite")
        assert "engine sqlite" in served.stderr
        assert ask(served, "SET", "key", "value") == b"OK"
        assert served.stop() == 0
        served = start()
        assert "engine sqlite, 1 key," in served.stderr
        assert ask(served, "GET", "key") == b"value"

    def test_addr(self, start: Start, tmp_path: Path) -> None:
        """--addr takes a name, an IPv6 address and the path of a Unix socket."""
        assert start(addr="localhost:0").address.startswith("localhost:")
        served = start(addr=f"unix:{tmp_path}/sock", dir=str(tmp_path / "other"))
        assert served.address == f"unix:{tmp_path}/sock"
        assert ask(served, "PING") == b"PONG"

    def test_pool_and_threads(self, start: Start) -> None:
        """--pool and --threads decide how many threads serve: in the plain design that is how many clients are."""
        served = start(design="jobs", pool="executor", threads="2")
        first, second, third = (Wire(served.connect()) for _ in range(3))
        with first, second, third:
            assert first.call("PING") == second.call("PING") == b"PONG"
            third.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                third.call("PING")
            first.close()
            third.socket.settimeout(DEADLINE_S)
            assert third.reply() == b"PONG"

    def test_naive_pool(self, start: Start) -> None:
        """With --pool naive there is a thread for each client, whatever --threads says."""
        served = start(design="jobs", pool="naive", threads="1")
        wires = [Wire(served.connect()) for _ in range(5)]
        assert [wire.call("PING") for wire in wires] == [b"PONG"] * 5
        for wire in wires:
            wire.close()

    def test_segments(self, start: Start) -> None:
        """--segment-bytes and the two of compaction reach the log."""
        served = start(segment_bytes="2000", compact_dead_bytes="1000000000", compact_dead_ratio="1")
        with Wire(served.connect()) as wire:
            wire.send(b"".join(frame("SET", "key", "x" * 500) for _ in range(40)))
            assert [wire.reply() for _ in range(40)] == [b"OK"] * 40
        assert len(list(served.directory.glob("*.data"))) > 5
        assert served.stop() == 0
        served = start(segment_bytes="2000", compact_dead_bytes="100", compact_dead_ratio="0.1")
        assert ask(served, "SET", "key", "y") == b"OK"
        deadline = time.monotonic() + 10  # it compacts beside us
        while len(list(served.directory.glob("*.data"))) > 3:
            assert time.monotonic() < deadline, "it is compacted in the end"

    def test_max_clients(self, start: Start) -> None:
        """--max-clients is how many may be there; one more is told so."""
        served = start(max_clients="2")
        with Wire(served.connect()) as first, Wire(served.connect()) as second, Wire(served.connect()) as third:
            assert first.call("PING") == second.call("PING") == b"PONG"
            assert b"max number of clients" in third.rest()

    @pytest.mark.parametrize("design", ["loop", "ready", "jobs"])
    def test_timeouts(self, start: Start, design: str) -> None:
        """--idle-timeout closes who is silent, --frame-timeout who does not finish, --send-timeout who takes none."""
        served = start(idle_timeout="0.5", frame_timeout="30", design=design)
        with Wire(served.connect()) as wire:
            assert wire.call("PING") == b"PONG"
            wire.rest()
        assert served.stop() == 0
        served = start(frame_timeout="0.2", design=design)
        with Wire(served.connect()) as idle, Wire(served.connect()) as wire:
            assert idle.call("PING") == b"PONG"
            wire.send(b"*1\r\n$4\r\nPI")
            wire.rest()
            assert idle.call("PING") == b"PONG"
        assert served.stop() == 0
        served = start(send_timeout="0.2", design=design)
        with Wire(served.connect()) as wire:
            wire.call("SET", "big", bytes(1 << 20))
            wire.send(frame("GET", "big") * 7)
            served.wait_to_say(re.compile(rb"not done in time|too long|took none|closed"))
            with pytest.raises(EOFError):
                wire.exactly(8 << 20)

    def test_max_reply_bytes(self, start: Start) -> None:
        """--max-reply-bytes is what may wait for a client; of one that takes nothing no more commands are read."""
        served = start(max_reply_bytes="1000000", send_timeout="30")
        with Wire(served.connect()) as wire:
            wire.call("SET", "big", bytes(1 << 20))
            wire.send(frame("GET", "big") * 30 + frame("SET", "last", "1"))
            assert ask(served, "GET", "last") is None
            wire.exactly(30 * ((1 << 20) + len(b"$1048576\r\n\r\n")))
            assert wire.reply() == b"OK"

    def test_password_file(self, start: Start, tmp_path: Path) -> None:
        """--password-file asks for the password in its first line, line end and later lines apart."""
        path = tmp_path / "password"
        path.write_bytes(f"{PASSWORD}\r\nnotes\n".encode())
        served = start(password_file=str(path))
        with Wire(served.connect()) as wire:
            assert str(wire.call("GET", "key")).startswith("NOAUTH")
            assert isinstance(wire.call("AUTH", PASSWORD + "\r"), ErrorReply)
            assert wire.call("AUTH", PASSWORD) == b"OK"
            assert wire.call("GET", "key") is None

    def test_unprotected(self, start: Start) -> None:
        """--unprotected lets the network in without a password."""
        served = start(addr="0.0.0.0:0", unprotected="")
        with Wire(served.connect()) as wire:
            assert wire.call("PING") == b"PONG"

    def test_pidfile_and_metrics(self, start: Start, tmp_path: Path) -> None:
        """--pidfile and --metrics-addr are made, and the metrics' port is said."""
        served = start(pidfile=str(tmp_path / "pid"), metrics_addr="127.0.0.1:0")
        assert (tmp_path / "pid").read_text() == f"{served.pid}\n"
        served.wait_to_say(re.compile(rb"metrics on http://127\.0\.0\.1:\d+/metrics"))

    def test_log_options(self, start: Start) -> None:
        """--log-format and --log-level reach the log."""
        served = start(log_format="json", log_level="debug")
        assert json.loads(served.stderr.splitlines()[0])["level"] == "info"


def test_a_flag_beats_its_variable(serve: Serve, tmp_path: Path) -> None:
    """Given both ways, the flag counts; an empty variable is none."""
    env = {"KVS_ENGINE": "sqlite", "KVS_SYNC": "nonsense", "KVS_THREADS": "", "KVS_DIR": str(tmp_path / "elsewhere")}
    served = serve("--engine", "log", "--sync", "none", "--dir", str(tmp_path / "here"), env=env)
    assert "engine log" in served.stderr
    assert (tmp_path / "here").exists()
    assert not (tmp_path / "elsewhere").exists()
