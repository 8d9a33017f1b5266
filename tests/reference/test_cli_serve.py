"""`kvs serve`: what it says, what it refuses in one line, and what nobody is to read."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from support.cli import Cli
from support.served import DEADLINE_S, Serve, Served
from support.target import Target
from support.wire import ErrorReply, Wire, frame

import kvs

PASSWORD = "open-sesame-4711"


def one_line(stderr: bytes) -> str:
    """Return the complaint: the only line that is no log."""
    lines = [line for line in stderr.decode().splitlines() if " INFO kvs.serve: " not in line]
    assert len(lines) == 1, stderr.decode()
    assert lines[0].startswith("kvs: "), lines[0]
    return lines[0]


def ask(served: Served, *words: bytes | str | int) -> object:
    """Ask one thing on a connection of its own."""
    with Wire(served.connect()) as wire:
        return wire.call(*words)


# What it says.


def test_it_says_what_it_is_and_where(serve: Serve, target: Target) -> None:
    """To stderr go version, engine, directory, and the address with the real port; it answers there."""
    served = serve()
    assert f"kvs {target.version}\n" in served.stderr
    assert re.search(rf"engine lockfree, 0 keys, in {re.escape(str(served.directory))}\n", served.stderr)
    assert served.stderr.splitlines()[-1].endswith(f"Listening on 127.0.0.1:{served.port}")
    assert served.port != 0
    assert ask(served, "PING") == b"PONG"


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_it_tells_its_version(cli: Cli, target: Target, flag: str) -> None:
    """`kvs serve -V` prints the version and serves nobody, for under its name kvs-server it is a program of its own."""
    cli("serve", flag).expect(stdout=f"kvs {target.version}\n".encode(), stderr=b"")
    assert list(cli.directory.iterdir()) == []


def test_stdout_stays_empty(target: Target, tmp_path: Path) -> None:
    """Nothing is printed to stdout, neither at the start nor at the end."""
    words = [*target.command, "serve", "--addr", "127.0.0.1:0", "--dir", str(tmp_path / "store")]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=target.environment(), stdout=pipe, stderr=pipe) as process:
        assert process.stderr is not None
        while b"Listening" not in process.stderr.readline():
            pass
        process.terminate()
        assert process.communicate(timeout=DEADLINE_S)[0] == b""


def test_at_level_error_it_still_says_where(serve: Serve) -> None:
    """Whatever is left out of the log, what it is and where it listens is not."""
    served = serve("--log-level", "error")
    assert [line.split(": ", 1)[1].split()[0] for line in served.stderr.splitlines()] == ["kvs", "engine", "Listening"]


def test_json_is_all_there_is(serve: Serve, cli: Cli) -> None:
    """With --log-format json every line is an object, also that which says why it could not start."""
    served = serve("--log-format", "json")
    assert served.stop() == 0
    said = [json.loads(line) for line in served.stderr.splitlines()]
    assert [each["message"].split()[0] for each in said] == ["kvs", "engine", "Listening", "stopped"]
    assert {"time", "level", "logger", "message"} <= said[0].keys()
    outcome = cli("serve", "--addr", "0.0.0.0:0", "--log-format", "json")
    outcome.expect(exit_code=1)
    assert [json.loads(line)["level"] for line in outcome.stderr.splitlines()] == ["error"]


def test_the_aliases_serve(target: Target, tmp_path: Path) -> None:
    """`kvs-server` is `kvs serve` by another name."""
    program = "import sys; from kvs.__main__ import server; sys.exit(server())"
    words = [target.command[0], "-c", program, "--addr", "nonsense"]
    done = subprocess.run(words, env=target.environment(), cwd=tmp_path, capture_output=True, timeout=15, check=False)
    assert done.returncode == 2
    assert b"Usage: kvs serve" in done.stderr


# What it refuses.


def test_a_taken_port_is_refused(serve: Serve, cli: Cli) -> None:
    """A port that is taken is one line and status 1; the store is let go of."""
    served = serve()
    outcome = cli("serve", "--addr", served.address)
    outcome.expect(exit_code=1)
    assert one_line(outcome.stderr) == f"kvs: cannot listen on {served.address}: Address already in use"
    cli("set", "key", "value").expect()


def test_a_taken_metrics_port_is_refused(serve: Serve, cli: Cli) -> None:
    """So is one for metrics, and a Unix socket that was made by then is taken away again."""
    served = serve()
    outcome = cli("serve", "--addr", "unix:sock", "--metrics-addr", served.address)
    outcome.expect(exit_code=1)
    assert one_line(outcome.stderr) == f"kvs: cannot listen on {served.address}: Address already in use"
    assert not (cli.directory / "sock").exists()


def test_the_wrong_engine_is_refused(cli: Cli) -> None:
    """A directory of another engine is refused by both names, and stays as it was."""
    cli("set", "key", "value").expect()
    outcome = cli("serve", "--addr", "127.0.0.1:0", "--engine", "sqlite")
    outcome.expect(exit_code=1)
    assert "belongs to engine 'log', not 'sqlite'" in one_line(outcome.stderr)
    cli("get", "key").expect(stdout=b"value\n")


def test_a_locked_directory_is_refused(serve: Serve, cli: Cli) -> None:
    """A directory that another server has open is refused, and told whose it is."""
    served = serve()
    outcome = cli("serve", "--addr", "127.0.0.1:0", "--dir", str(served.directory))
    outcome.expect(exit_code=1)
    assert one_line(outcome.stderr) == f"kvs: {served.directory} is in use by process {served.pid}"


def test_a_second_server_is_refused_by_its_pid_file(serve: Serve, cli: Cli, tmp_path: Path) -> None:
    """With the same PID file a second server is told which process runs, whatever its directory, and makes nothing."""
    path = tmp_path / "kvs.pid"
    served = serve("--pidfile", str(path))
    outcome = cli("serve", "--addr", "127.0.0.1:0", "--pidfile", str(path))
    outcome.expect(exit_code=1)
    assert one_line(outcome.stderr) == f"kvs: already running as process {served.pid} ({path})"
    assert path.read_text() == f"{served.pid}\n"
    assert list(cli.directory.iterdir()) == []
    served.kill()
    assert path.read_text() == f"{served.pid}\n"
    following = serve("--pidfile", str(path))
    assert path.read_text() == f"{following.pid}\n"
    assert following.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_the_network_needs_a_password(cli: Cli, serve: Serve, address: str) -> None:
    """Beyond this machine nobody listens without a password, unless told so; that is said before anything is made."""
    outcome = cli("serve", "--addr", address, "--pidfile", "kvs.pid")
    outcome.expect(exit_code=1)
    assert "--unprotected" in one_line(outcome.stderr)
    assert address in one_line(outcome.stderr)
    assert list(cli.directory.iterdir()) == []
    if address.startswith("["):
        return  # not every machine has IPv6 to listen on
    served = serve("--addr", address, env={"KVS_PASSWORD": PASSWORD})
    assert str(ask(served, "GET", "key")).startswith("NOAUTH")


def test_metrics_ask_nobody_for_a_password(cli: Cli) -> None:
    """The metrics' address is for this machine only, password or not, unless told so."""
    words = ["serve", "--addr", "127.0.0.1:0", "--metrics-addr", "0.0.0.0:0"]
    for env in ({}, {"KVS_PASSWORD": PASSWORD}):
        outcome = cli(*words, env=env)
        outcome.expect(exit_code=1)
        assert "--unprotected" in one_line(outcome.stderr)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\nlater\n"])
def test_a_password_file_without_a_password_is_refused(cli: Cli, content: bytes | None) -> None:
    """A password file that is missing, empty or begins with an empty line is no reason to serve without a password."""
    if content is not None:
        (cli.directory / "password").write_bytes(content)
    outcome = cli("serve", "--addr", "127.0.0.1:0", "--password-file", "password")
    outcome.expect(exit_code=1)
    assert "the password file password" in one_line(outcome.stderr)


def test_other_engines_options_are_refused(cli: Cli) -> None:
    """An option of one engine is wrong usage for another, and named."""
    for engine, flag, value in (("sqlite", "--segment-bytes", "4000"), ("memory", "--sync", "always")):
        outcome = cli("serve", "--addr", "127.0.0.1:0", "--engine", engine, flag, value)
        outcome.expect_usage()
        assert flag.encode() in outcome.stderr


def test_a_damaged_store_is_refused(cli: Cli) -> None:
    """A store that has rotted is one line and status 1."""
    for number in range(3):
        cli("set", f"key-{number}", "value" * 100).expect()
    path = min((cli.directory / "kvs-data").glob("*.data"))
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    outcome = cli("serve", "--addr", "127.0.0.1:0")
    outcome.expect(exit_code=1)
    assert "damaged" in one_line(outcome.stderr)


# What nobody is to read.


def test_the_password_is_nowhere_to_be_read(serve: Serve) -> None:
    """A password from KVS_PASSWORD is asked for; neither the log at level debug nor the command line shows it."""
    served = serve("--log-level", "debug", env={"KVS_PASSWORD": PASSWORD})
    with Wire(served.connect()) as wire:
        assert isinstance(wire.call("AUTH", "wrong-" + PASSWORD), ErrorReply)
        assert wire.call("AUTH", PASSWORD) == b"OK"
        assert wire.call("SET", "key", "secret-value-0815") == b"OK"
        wire.call("NOSUCH", "secret-value-0815")
        told = str(wire.call("INFO")) + str(wire.call("CONFIG", "GET", "*"))
    assert served.stop() == 0
    assert PASSWORD not in served.stderr + told
    assert "secret-value-0815" not in served.stderr
    assert not any(PASSWORD in word for word in served.words)


def test_there_is_no_option_for_the_password(cli: Cli) -> None:
    """A password on the command line, where every user of the machine can read it, is wrong usage."""
    cli("serve", "--addr", "127.0.0.1:0", "--password", PASSWORD).expect_usage()


# Unix sockets.


def test_a_unix_socket_is_its_owner_s(serve: Serve, tmp_path: Path) -> None:
    """The socket is for its owner alone, and goes with the server."""
    path = tmp_path / "sock"
    before = os.umask(0)
    try:
        served = serve("--addr", f"unix:{path}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask(served, "PING") == b"PONG"
    assert served.stop() == 0
    assert not path.exists()


def test_a_dead_server_s_socket_is_replaced(serve: Serve, cli: Cli, tmp_path: Path) -> None:
    """What a killed server left is replaced; that of a living one is not, nor is any other file."""
    path = tmp_path / "sock"
    served = serve("--addr", f"unix:{path}")
    outcome = cli("serve", "--addr", f"unix:{path}")
    outcome.expect(exit_code=1)
    assert "cannot listen on unix:" in one_line(outcome.stderr)
    assert ask(served, "PING") == b"PONG"
    served.kill()
    assert path.exists()
    assert ask(serve("--addr", f"unix:{path}"), "PING") == b"PONG"
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    cli("serve", "--addr", f"unix:{precious}").expect(exit_code=1)
    assert precious.read_bytes() == b"mine"


# Kept for good.


def test_what_was_acknowledged_survives_a_kill(serve: Serve) -> None:
    """A kill in the middle of writes: every acknowledged one is there, by itself, after the next start."""
    served = serve("--sync", "none")
    acknowledged = 0
    with Wire(served.connect()) as wire:
        wire.send(b"".join(frame("SET", number, number) for number in range(3_000)))
        while acknowledged < 700:
            assert wire.reply() == b"OK"
            acknowledged += 1
        served.kill()
        acknowledged += wire.rest().count(b"+OK\r\n")
    with kvs.open(served.directory) as store:
        assert all(store.get(b"%d" % number) == b"%d" % number for number in range(acknowledged))
