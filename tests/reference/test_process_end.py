"""How a process that serves ends: in bounded time, with everything acknowledged kept and nothing left lying about."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from support.served import DEADLINE_S, Serve, Served
from support.wire import Wire, frame

import kvs

WRITES = 2_000


def stuff(served: Served) -> Wire:
    """Return a client that has asked for more than fits between the two, and takes nothing of it."""
    wire = Wire(served.connect())
    wire.call("SET", "big", bytes(1 << 20))
    wire.send(frame("GET", "big") * 7)
    return wire


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(serve: Serve, number: int) -> None:
    """SIGTERM and SIGINT end an idle server with status 0; it says that it stopped, and its store opens by itself."""
    served = serve()
    with Wire(served.connect()) as wire:
        assert wire.call("SET", "key", "value") == b"OK"
    served.signal(number)
    assert served.wait() == 0
    assert "stopped" in served.stderr
    assert "Traceback" not in served.stderr
    with kvs.open(served.directory, flag="r") as store:
        assert dict(store) == {b"key": b"value"}


@pytest.mark.parametrize("design", ["loop", "ready", "jobs"])
@pytest.mark.parametrize("sync", ["always", "interval"])
def test_a_stop_answers_what_has_arrived(serve: Serve, design: str, sync: str) -> None:
    """SIGTERM in the middle of a pipelined conversation: what was read is answered, and what was answered is kept."""
    served = serve("--design", design, "--sync", sync)
    with Wire(served.connect()) as wire:
        wire.send(b"".join(frame("SET", f"key-{number}", number) for number in range(WRITES)))
        assert wire.reply() == b"OK"
        served.signal(signal.SIGTERM)
        answered = 1 + wire.rest().count(b"+OK\r\n")
    assert served.wait() == 0
    with kvs.open(served.directory, flag="r") as store:
        found = {key: int(value) for key, value in store.items()}
    assert answered <= len(found)
    assert found == {b"key-%d" % number: number for number in range(len(found))}, "a prefix of what was sent"


def test_a_stop_answers_all_that_was_received(serve: Serve) -> None:
    """Commands that the server has when SIGTERM comes are all carried out and answered, not some of them."""
    served = serve()
    with Wire(served.connect()) as wire:
        assert wire.call("PING") == b"PONG"
        served.signal(signal.SIGSTOP)
        wire.send(b"".join(frame("SET", f"key-{number}", number) for number in range(500)))
        served.signal(signal.SIGTERM)
        served.signal(signal.SIGCONT)
        answered = wire.rest().count(b"+OK\r\n")
    assert served.wait() == 0
    with kvs.open(served.directory, flag="r") as store:
        assert answered == len(store)


def test_nobody_is_accepted_any_more(serve: Serve) -> None:
    """While a stop drains one client, another is not let in."""
    served = serve("--drain-timeout", "30")
    with stuff(served) as slow:
        served.signal(signal.SIGTERM)

        def is_refused() -> bool:
            try:
                with Wire(served.connect()) as wire:
                    return wire.rest() == b""
            except OSError:
                return True

        serve.until(is_refused, "the server stops accepting")
        assert served.process.poll() is None, "it still waits for the slow one"
        assert len(slow.exactly(7 << 20)) == 7 << 20
        slow.rest()
    assert served.wait() == 0


def test_a_stop_has_a_bound(serve: Serve) -> None:
    """A client that never takes its replies cannot hold a stop up beyond --drain-timeout; the status is 0."""
    served = serve("--drain-timeout", "0.3")
    with stuff(served):
        began = time.monotonic()
        assert served.stop() == 0
        assert 0.25 < time.monotonic() - began < DEADLINE_S / 2


def test_a_second_signal_ends_it_at_once(serve: Serve) -> None:
    """While a stop waits for a client, a second SIGTERM ends the process at once, by that signal; nothing is lost."""
    served = serve("--drain-timeout", "60")
    with stuff(served):
        served.signal(signal.SIGTERM)

        def is_closed() -> bool:
            try:
                served.connect().close()
            except OSError:
                return True
            return False

        serve.until(is_closed, "the first signal is heard")
        assert served.process.poll() is None
        served.signal(signal.SIGTERM)
        assert served.wait(DEADLINE_S / 3) == -signal.SIGTERM
    with kvs.open(served.directory, flag="r") as store:
        assert store[b"big"] == bytes(1 << 20)


def test_an_idle_client_does_not_delay_a_stop(serve: Serve) -> None:
    """Clients that are connected and ask for nothing are closed at once; so is one in the middle of a command."""
    served = serve("--drain-timeout", "60")
    idle = [Wire(served.connect()) for _ in range(20)]
    for wire in idle:
        assert wire.call("PING") == b"PONG"
    idle[0].send(b"*2\r\n$3\r\nGE")
    assert served.stop(DEADLINE_S / 2) == 0
    for wire in idle:
        assert wire.rest() == b""
        wire.close()


def test_the_pid_file_goes_last(serve: Serve, tmp_path: Path) -> None:
    """When the PID file is gone the store is closed: whoever waits for that can open it at once."""
    pidfile = tmp_path / "kvs.pid"
    for _ in range(5):
        served = serve("--pidfile", str(pidfile))
        assert pidfile.read_text() == f"{served.pid}\n"
        with Wire(served.connect()) as wire:
            for number in range(200):
                wire.call("SET", number, "x" * 1_000)
        served.signal(signal.SIGTERM)
        end = time.monotonic() + DEADLINE_S
        while pidfile.exists():
            assert time.monotonic() < end
        kvs.open(served.directory).close()
        assert served.wait() == 0


def test_sooner_or_later_it_is_the_same(serve: Serve) -> None:
    """SIGTERM at any moment of a start ends it, in order or by the signal; the next start is as any other."""
    for delay_ms in range(20, 400, 40):
        served = serve("--pidfile", "kvs.pid", must_listen=False)
        time.sleep(delay_ms / 1000)  # not for anything to be ready: any moment will do
        assert served.stop() in {0, -signal.SIGTERM}
        assert "Traceback" not in served.stderr
    serve("--pidfile", "kvs.pid")


def test_a_job_that_never_ends_does_not_hold_it_up(serve: Serve) -> None:
    """Threads that wait for clients are not waited for: a server of the plain design ends as well."""
    served = serve("--design", "jobs", "--pool", "naive", "--drain-timeout", "0.5")
    held = [Wire(served.connect()) for _ in range(3)]
    assert [wire.call("PING") for wire in held] == [b"PONG"] * 3
    assert served.stop() == 0
    for wire in held:
        wire.close()


def test_nohup_and_hang_up(serve: Serve) -> None:
    """Under nohup SIGHUP stays ignored; without it SIGHUP ends nothing either."""
    for prefix in ("nohup", ""):
        served = serve(prefix=prefix)
        served.signal(signal.SIGHUP)
        with Wire(served.connect()) as wire:
            assert wire.call("PING") == b"PONG"
        assert served.stop() == 0


def dead_bytes(directory: Path) -> int:
    """Return the dead bytes of a store that nobody has open."""
    with kvs.open(directory, flag="r") as store:
        return store.stats().dead_bytes


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.parametrize("design", ["loop", "ready", "jobs"])
def test_a_signal_compacts(serve: Serve, number: int, design: str) -> None:
    """SIGHUP and SIGUSR1 give the dead bytes back, lose nothing, and the server serves on."""
    served = serve("--design", design)
    with Wire(served.connect()) as wire:
        for turn in range(3):
            wire.send(b"".join(frame("SET", f"key-{key}", f"{turn}" * 1_000) for key in range(100)))
            assert [wire.reply() for _ in range(100)] == [b"OK"] * 100
        before = size_of(served.directory)
        served.signal(number)
        serve.until(lambda: size_of(served.directory) < before - 100_000, "the directory shrinks")
        assert wire.call("GET", "key-7") == b"2" * 1_000
        assert wire.call("SET", "after", "all") == b"OK"
    assert served.stop() == 0
    assert dead_bytes(served.directory) == 0
    with kvs.open(served.directory, flag="r") as store:
        assert len(store) == 101


def size_of(directory: Path) -> int:
    """Return the bytes of the segments that are sealed, and of what the active one holds."""
    total = 0
    for path in directory.glob("*.data"):
        try:
            total += len(path.read_bytes().rstrip(b"\0"))
        except FileNotFoundError:  # merged meanwhile
            continue
    return total


def test_many_signals_are_one_compaction_after_another(serve: Serve) -> None:
    """A shower of signals between commands loses neither the signals' meaning nor a command."""
    served = serve()
    with Wire(served.connect()) as wire:
        for number in range(100):
            os.kill(served.pid, signal.SIGUSR1 if number % 2 else signal.SIGHUP)
            assert wire.call("SET", "key", number) == b"OK"
        assert wire.call("GET", "key") == b"99"
    assert served.stop() == 0


def test_a_reset_while_it_stops_is_no_error(serve: Serve) -> None:
    """A client that resets its connection while the server drains it costs nothing but that connection."""
    served = serve("--drain-timeout", "30")
    with stuff(served) as wire:
        served.signal(signal.SIGTERM)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert served.wait(DEADLINE_S / 2) == 0
    assert "Traceback" not in served.stderr
