"""Task 3.7: a server as a process: what stops it, what does not, and what it leaves behind."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from support.child import start_program
from support.cli import Cli
from support.served import Serve, Served
from support.session import Session
from support.talk import Clients
from support.target import Target
from support.wire import frame

pytestmark = pytest.mark.task("3.7")

as_process = pytest.mark.blackbox
STOP_S = 5.0
"""Within which time a server that has nothing to wait for ends."""

GATED_COMPACTION = """
import os, runpy, sys
from kvs import LogEngine

def compact(store, *_args, **_options):
    os.write(2, b"compacting\\n")
    os.read(0, 1)
    os.write(2, b"compacted\\n")

LogEngine.compact = compact
os.dup2(1, 2)
sys.argv = ["kvs", "serve", "--engine", "log", "--addr", "127.0.0.1:0", "--dir", sys.argv[1]]
runpy.run_module("kvs", run_name="__main__")
"""
"""`kvs serve` with a compaction that goes on until a byte is written to stdin; stderr is sent to stdout."""


def clients_of(served: Served) -> Clients:
    """Return what connects clients to a server."""
    return Clients(served.address, [])


# The end.


@as_process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_stops_with_idle_clients(serve: Serve, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the server with exit code 0, whoever is connected and says nothing, or half a command."""
    served = serve()
    with clients_of(served) as connect:
        silent, slow = connect(), connect()
        assert silent.call("SET", "key", "value") == b"OK"
        slow.send(frame("PING") + frame("SET", "slow", "value")[:-5])
        slow.expect(b"+PONG\r\n")
        served.signal(number)
        assert served.wait(STOP_S) == 0
        silent.expect_end()
        slow.expect_end()
        assert connect.is_refused()


@as_process
def test_sigterm_drains(serve: Serve) -> None:
    """SIGTERM: nobody new gets in, and who was in gets the replies to all that had arrived, to the last byte."""
    served, value = serve(), b"x" * 1_000_000
    with clients_of(served) as connect:
        client = connect()
        client.call("SET", "large", value)
        client.send(frame("GET", "large") * 24)
        client.expect(b"$1000000\r\n")  # so all of them have arrived: they came together
        served.signal(signal.SIGTERM)
        serve.until(connect.is_refused, "a server that was told to stop takes no new clients")
        assert served.process.poll() is None, "it has ended, and left its client with replies unsent"
        client.expect(value + b"\r\n")
        for number in range(1, 24):
            assert client.reply() == value, f"reply {number}"
        client.expect_end()
        assert served.wait(STOP_S) == 0


@as_process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_acknowledged_is_lost(serve: Serve, number: signal.Signals) -> None:
    """Whatever a client was told is stored is there in the next server, on the same port at once, even after a kill."""
    served = serve()
    with clients_of(served) as connect:
        client, silent = connect(), connect()
        silent.call("PING")  # whose connection keeps the port for a while, unless the next server knows better
        for count in range(300):
            client.command("SET", f"key{count % 50}", count)
            if count == 250:
                served.signal(number)
            try:
                client.expect(b"+OK\r\n")
            except (AssertionError, pytest.fail.Exception):
                break
            last = count
    assert served.wait(STOP_S) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    assert last >= 249, "the server broke before it was told to stop"
    with clients_of(serve("--addr", served.address)) as connect:
        client = connect()
        found = [client.call("GET", f"key{each % 50}") for each in range(last - 48, last + 1)]
        assert found == [b"%d" % each for each in range(last - 48, last + 1)]


# Signals that do not stop it.


@as_process
def test_sighup_compacts(serve: Serve) -> None:
    """SIGHUP compacts: the bytes of replaced values are given back, the server goes on, and no value is lost."""
    served = serve()
    with clients_of(served) as connect:
        client = connect()
        client.send(b"".join(frame("SET", f"key{number % 3}", f"{number:04}" * 1000) for number in range(600)))
        client.expect(b"+OK\r\n" * 600)
        served.signal(signal.SIGHUP)
        serve.until(lambda: used_bytes(served.directory) < 200_000, "SIGHUP compacts the store")
        assert [client.call("GET", f"key{number % 3}") for number in range(597, 600)] == [
            b"%04d" % number * 1000 for number in range(597, 600)
        ]
        assert served.process.poll() is None


def used_bytes(directory: Path) -> int:
    """Return how many bytes the files hold, without room at their ends that nothing has been written to."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a compaction removes files meanwhile
            total += len(path.read_bytes().rstrip(b"\0")) if path.is_file() else 0
    return total


@as_process
def test_sighups_among_writes(serve: Serve) -> None:
    """Forty SIGHUPs while a client writes: each write is answered, and none is lost."""
    served = serve()
    with clients_of(served) as connect:
        client = connect()
        for number in range(40):
            client.send(b"".join(frame("SET", f"key{each}", f"{number} {each}" * 20) for each in range(50)))
            served.signal(signal.SIGHUP)
            client.expect(b"+OK\r\n" * 50)
        assert [client.call("GET", f"key{each}") for each in range(50)] == [b"39 %d" % each * 20 for each in range(50)]
    assert served.stop() == 0


def test_compaction_keeps_nobody_waiting(target: Target, tmp_path: Path) -> None:
    """While a SIGHUP's compaction is under way clients come in and are answered: the handler does not compact."""
    with start_program(target, GATED_COMPACTION, tmp_path / "store") as child:
        address = read_until(child, "Listening on ").split()[-1]
        with Clients(address, []) as connect:
            before = connect()
            assert before.call("PING") == b"PONG"
            os.kill(child.pid, signal.SIGHUP)
            read_until(child, "compacting")
            assert before.call("PING") == b"PONG"
            assert connect().call("PING") == b"PONG"
            child.write(b"\n")
            read_until(child, "compacted")
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait() == 0


def read_until(child: Session, text: str) -> str:
    """Return the first line with this text in what a child says."""
    while (line := child.read_line()) is not None:
        if text in line.decode():
            return line.decode()
    pytest.fail(f"the server ended without saying {text!r}")


# One server at a time.


@as_process
def test_second_server_is_refused(serve: Serve, cli: Cli) -> None:
    """A server whose port or whose directory another one has is refused with exit code 1; that one goes on."""
    served = serve()
    with clients_of(served) as connect:
        client = connect()
        client.call("SET", "key", "value")
        outcome = cli("serve", "--addr", served.address, "--dir", "other").expect(stdout=b"", exit_code=1)
        assert str(served.port).encode() in outcome.stderr, "the message names the port"
        words = ["serve", "--addr", "127.0.0.1:0", "--dir", str(served.directory)]
        outcome = cli(*words).expect(stdout=b"", exit_code=1)
        assert str(served.directory).encode() in outcome.stderr, "the message names the directory"
        assert client.call("GET", "key") == b"value"


# The PID file.


@as_process
def test_pid_file(serve: Serve, cli: Cli) -> None:
    """--pidfile names the process while it runs: a second one is refused, and at the end the file is gone."""
    pidfile = serve.directory.with_name("pid")
    served = serve("--pidfile", str(pidfile))
    assert pidfile.read_text().strip() == str(served.pid)
    words = ["serve", "--addr", "127.0.0.1:0", "--dir", "other", "--pidfile", str(pidfile)]
    outcome = cli(*words).expect(stdout=b"", exit_code=1)
    assert str(served.pid).encode() in outcome.stderr, "the refusal names the process that runs"
    assert pidfile.read_text().strip() == str(served.pid)
    with clients_of(served) as connect:
        assert connect().call("PING") == b"PONG"
    assert served.stop() == 0
    assert not pidfile.exists()


@as_process
def test_pid_file_of_a_dead_server(serve: Serve) -> None:
    """The PID file of a server that was killed does not keep the next one from starting."""
    pidfile = serve.directory.with_name("pid")
    first = serve("--pidfile", str(pidfile))
    first.kill()
    assert pidfile.read_text().strip() == str(first.pid), "a process that is killed cleans nothing up"
    second = serve("--pidfile", str(pidfile))
    assert pidfile.read_text().strip() == str(second.pid)


@as_process
@pytest.mark.parametrize("content", [b"", b"no number\xff\n"], ids=["empty", "text"])
def test_pid_file_with_garbage(serve: Serve, content: bytes) -> None:
    """A PID file that names no process does not keep a server from starting: its own id takes that place."""
    pidfile = serve.directory.with_name("pid")
    pidfile.write_bytes(content)
    served = serve("--pidfile", str(pidfile))
    assert pidfile.read_text().strip() == str(served.pid)


@as_process
@pytest.mark.extension
def test_pid_file_of_a_recycled_id(serve: Serve) -> None:
    """A PID file whose number has come to another program does not keep a server from starting."""
    pidfile = serve.directory.with_name("pid")
    pidfile.write_text(f"{os.getpid()}\n")
    served = serve("--pidfile", str(pidfile))
    assert pidfile.read_text().strip() == str(served.pid)
