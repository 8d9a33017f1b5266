"""A whole process that serves, seen by those who watch over it: its supervisor, its metrics, and whoever stops it."""

import http.client
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.served import DEADLINE_S, Serve, Served
from support.target import Target
from support.wire import Wire, frame

import kvs
from kvs.net.metrics import METRICS
from kvs.net.probe import answers

STUCK = """
import os, sys, threading
from kvs.log.store import LogEngine
from kvs.net import process
from kvs.net.server import KvsServer
from kvs.pool.shared_queue import SharedQueueThreadPool

def listen(engine, pool):
    pool.spawn(threading.Event().wait)  # a job that never ends
    return KvsServer(engine, pool, "127.0.0.1:0", design="loop")

process.CLOSING_S = 0.3
from kvs.net.logs import logging_to_stderr
with logging_to_stderr():
    process.live(process.Plan(
        version="1", place="here", drain_timeout_s=0.1, pidfile=sys.argv[-1] + ".pid", listen=listen,
        open_engine=lambda: LogEngine.open(sys.argv[-1], sync="none"), make_pool=lambda: SharedQueueThreadPool(2),
    ), os.environ)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a socket that hears what a supervisor would, at `notify`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.settimeout(DEADLINE_S)
        found.bind(str(tmp_path / "notify"))
        yield found


def ask(served: Served, path: str) -> tuple[int, str]:
    """Ask the metrics' address by HTTP."""
    address = served.wait_to_say(re.compile(rb"metrics on http://(\S+)/metrics"))[1].decode()
    with closing(http.client.HTTPConnection(address, timeout=DEADLINE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def figures(served: Served) -> dict[str, float]:
    """Return the server's figures, by the names that Prometheus knows."""
    status, text = ask(served, "/metrics")
    assert status == 200
    return {line.split("{")[0].split()[0]: float(line.split()[-1]) for line in text.splitlines() if line[0] != "#"}


def stuff(served: Served) -> Wire:
    """Return a client that has asked for more than fits between the two, and takes nothing of it."""
    wire = Wire(served.connect())
    wire.call("SET", "big", bytes(1 << 20))
    wire.send(frame("GET", "big") * 7)
    return wire


def test_the_supervisor_hears_of_its_life(serve: Serve, supervisor: socket.socket) -> None:
    """READY=1 comes when clients are served, and names the address; STOPPING=1 comes before the end."""
    served = serve(env={"NOTIFY_SOCKET": str(supervisor.getsockname())}, must_listen=False)
    assert supervisor.recv(4096).startswith(b"READY=1\nSTATUS=Listening on 127.0.0.1:")
    served.address = served.wait_to_say(re.compile(rb"Listening on (\S+)"))[1].decode()
    with Wire(served.connect()) as wire:
        assert wire.call("PING") == b"PONG"
    assert served.stop() == 0
    assert supervisor.recv(4096).startswith(b"STOPPING=1\n")
    supervisor.setblocking(False)
    with pytest.raises(BlockingIOError):
        supervisor.recv(4096)


@pytest.mark.parametrize("words", [(), ("--design", "jobs", "--pool", "naive"), ("--max-clients", "1")])
def test_the_watchdog_hears_while_it_answers(serve: Serve, supervisor: socket.socket, words: tuple[str, ...]) -> None:
    """The watchdog hears over and over that the server lives, also with a password and with too many clients."""
    env = {"NOTIFY_SOCKET": str(supervisor.getsockname()), "WATCHDOG_USEC": "100000", "KVS_PASSWORD": "secret"}
    served = serve(*words, env=env)
    with Wire(served.connect()):
        assert supervisor.recv(4096).startswith(b"READY=1\n")
        assert [supervisor.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    served.signal(signal.SIGTERM)
    while (said := supervisor.recv(4096)) == b"WATCHDOG=1":
        pass
    assert said.startswith(b"STOPPING=1\n")
    assert served.wait() == 0


def test_a_server_that_does_not_answer_is_not_alive(serve: Serve) -> None:
    """A server that stands still is not called alive, nor is one that is gone; one that serves is."""
    served = serve()
    assert answers(served.address)
    served.signal(signal.SIGSTOP)
    assert not answers(served.address, patience_s=0.2)
    served.signal(signal.SIGCONT)
    assert answers(served.address)
    served.kill()
    assert not answers(served.address)


def test_metrics_count_what_happened(serve: Serve) -> None:
    """The figures are the server's: clients, commands, errors, bytes, keys, dead bytes and merges, as they happen."""
    served = serve("--metrics-addr", "127.0.0.1:0")
    before = figures(served)
    assert (before["kvs_keys"], before["kvs_connections"], before["kvs_writable"]) == (0, 0, 1)
    with Wire(served.connect()) as wire:
        for number in range(10):
            assert wire.call("SET", f"key-{number % 2}", "x" * 100) == b"OK"
        assert isinstance(wire.call("NOSUCH"), Exception)
        found = figures(served)
        assert found["kvs_connections"] == 1
        assert found["kvs_keys"] == 2
        assert found["kvs_dead_bytes"] == 4 * found["kvs_live_bytes"] > 0
        assert found["kvs_received_bytes_total"] >= 10 * 100
        assert 10 * len(b"+OK\r\n") < found["kvs_sent_bytes_total"] < 1_000
        os.kill(served.pid, signal.SIGUSR1)
        serve.until(lambda: figures(served)["kvs_dead_bytes"] == 0, "the compaction shows")
        assert figures(served)["kvs_merges_total"] >= 1
    serve.until(lambda: figures(served)["kvs_connections"] == 0, "the client is gone")
    found = figures(served)
    assert (found["kvs_connections_total"], found["kvs_commands_total"], found["kvs_errors_total"]) == (1, 11, 1)
    known = {metric.name for metric in METRICS} | {"kvs_build_info"}
    assert known - found.keys() <= {"kvs_last_sync_timestamp_seconds"}, "the log has all figures that there are"
    assert 'kvs_build_info{version="' in ask(served, "/metrics")[1]


def test_a_server_that_stops_is_not_healthy(serve: Serve) -> None:
    """/healthz is 200 while it serves and 503 while it drains."""
    served = serve("--metrics-addr", "127.0.0.1:0", "--drain-timeout", "30")
    assert ask(served, "/healthz") == (200, "ok\n")
    with stuff(served) as slow:
        served.signal(signal.SIGTERM)
        serve.until(lambda: ask(served, "/healthz") == (503, "stopping\n"), "it says that it stops")
        assert served.process.poll() is None
        slow.exactly(7 << 20)
    assert served.wait() == 0


def test_the_metrics_need_no_thread_of_the_pool(serve: Serve) -> None:
    """Metrics and health are answered when every thread of the pool is taken."""
    served = serve("--metrics-addr", "127.0.0.1:0", "--design", "jobs", "--threads", "1")
    with Wire(served.connect()) as wire:
        assert wire.call("PING") == b"PONG"
        assert ask(served, "/healthz")[0] == 200
        assert figures(served)["kvs_connections"] == 1


def test_a_job_that_never_ends_is_cut_off(target: Target, tmp_path: Path) -> None:
    """When closing takes longer than it may, the process ends by force, says so, and leaves no PID file; status 1."""
    command = [sys.executable, "-P", "-c", STUCK]
    with Served(command, target.environment(), tmp_path / "store") as served:
        assert Path(f"{tmp_path}/store.pid").read_text() == f"{served.pid}\n"
        with Wire(served.connect()) as wire:
            assert wire.call("SET", "key", "value") == b"OK"
        began = time.monotonic()
        assert served.stop() == 1
        assert time.monotonic() - began < DEADLINE_S / 3
        assert "closing took more than" in served.stderr
    assert not Path(f"{tmp_path}/store.pid").exists()
    with kvs.open(tmp_path / "store") as store:
        assert store[b"key"] == b"value"
