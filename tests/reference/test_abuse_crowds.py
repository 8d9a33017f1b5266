"""Many clients, and clients that come and go as they like: nobody is forgotten, and nothing is left behind."""

import random
import threading
import time
from typing import Final

import pytest
from support.besieged import (
    DEADLINE_S,
    GateEngine,
    besieged,
    descriptors,
    every_design,
    is_closed,
    polling_design,
    reset,
    until,
)
from support.wire import ErrorReply, frame

from kvs.memory import MemoryEngine
from kvs.net.jobs import Jobs
from kvs.net.loop import Loop
from kvs.net.options import ServerOptions
from kvs.net.server import KvsServer
from kvs.pool.base import Job
from kvs.pool.naive import NaiveThreadPool
from kvs.pool.shared_queue import SharedQueueThreadPool

AT_ONCE_S: Final = 2.0
FULL: Final = b"-ERR max number of clients reached\r\n"


@polling_design
def test_the_1001st_client_is_answered_at_once(design: str) -> None:
    """With 4 workers and 1,000 clients that are connected and silent, the next one is answered at once."""
    with besieged(design) as server:
        idle = [server.connect() for _ in range(1_000)]
        for wire in idle[::100]:
            assert wire.call("PING") == b"PONG"
        until(lambda: server.connections() == 1_000, "all are here")
        began = time.monotonic()
        server.lives()
        assert time.monotonic() - began < AT_ONCE_S
        assert threading.active_count() < 20, "nobody holds a thread"


def test_where_a_connection_is_a_job_it_holds_its_worker() -> None:
    """What the plain design cannot do: with 4 workers the fifth client waits until one of the four hangs up."""
    with besieged("jobs") as plain:
        assert isinstance(plain.server._design, Jobs)
    with SharedQueueThreadPool(4) as pool, KvsServer(MemoryEngine(), pool, "127.0.0.1:0", design="jobs") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            _fifth_waits(server)
        finally:
            server.shutdown()
            thread.join(DEADLINE_S)


def _fifth_waits(server: KvsServer) -> None:
    """See that of five clients four are answered, and the fifth when one of them is gone."""
    with besieged() as connector:  # for its way to connect
        connector.place = ("127.0.0.1", int(server.address.rpartition(":")[2]))
        four = [connector.connect() for _ in range(4)]
        for wire in four:
            assert wire.call("PING") == b"PONG"
        fifth = connector.connect()
        fifth.command("PING")
        fifth.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            fifth.reply()
        fifth.socket.settimeout(DEADLINE_S)
        four[0].close()
        assert fifth.reply() == b"PONG"


@every_design
def test_one_client_too_many_is_told_so(design: str) -> None:
    """Beyond the largest number of clients one gets an error and is closed; when another leaves, there is room."""
    with besieged(design, ServerOptions(max_clients=3)) as server:
        guests = [server.connect() for _ in range(3)]
        for wire in guests:
            assert wire.call("PING") == b"PONG"
        for number in range(1, 6):
            with server.connect() as wire:
                assert wire.rest() == FULL
            assert server.counts.rejected == number
        guests[0].close()
        until(lambda: server.connections() == 2, "one has left")
        server.lives()
        for wire in guests[1:]:
            assert wire.call("PING") == b"PONG"


@pytest.mark.parametrize(("design", "clients"), [("loop", 10_000), ("ready", 10_000), ("jobs", 4_000)])
@pytest.mark.timeout(150)
def test_resets_leave_nothing_behind(design: str, clients: int, rng: random.Random) -> None:
    """Thousands of clients that reset their connections, wherever they are, leave no descriptor and no thread."""
    beginnings = [
        b"",
        b"PING\r\n",
        frame("SET", "k", bytes(20_000)),
        frame("SET", "k", "v")[:-3],
        frame("GET", "k") * 50,
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc",
        b"\xff\x00junk",
        frame("MULTI") + frame("WATCH", "k") + frame("SET", "k", "v"),
        frame("WATCH", "k") + frame("BLPOP", "x"),
    ]
    with besieged(design) as server, server.connect() as other:
        assert other.call("PING") == b"PONG"
        fds, threads = descriptors(), threading.active_count()
        for number in range(clients):
            wire = server.connect()
            wire.send(rng.choice(beginnings))
            if rng.random() < 0.2:
                other.call("PING")  # so that this one is sometimes further on
            reset(wire)
            server._wires.pop()
            if number % 500 == 0:
                assert other.call("ECHO", number) == b"%d" % number
        until(lambda: server.connections() == 1, "all are forgotten")
        until(lambda: descriptors() <= fds, "no descriptor is left")
        until(lambda: threading.active_count() <= threads, "no thread is left")
        assert not server.server.service.watches.is_any, "nor does anybody watch"
        assert other.call("PING") == b"PONG"


@every_design
def test_who_leaves_in_mid_command_leaves_nothing_half_done(design: str) -> None:
    """Of a client that vanishes in the middle of a command those before it are carried out, and this one is not."""
    with besieged(design) as server:
        for number in range(50):
            wire = server.connect()
            whole = frame("SET", "last", number) + frame("SET", "half", bytes(5_000))
            wire.send(whole[: len(whole) - 1 - number])
            until(lambda number=number: server.engine.get(b"last") == b"%d" % number, "the first one came to be")  # type: ignore[misc]
            wire.close() if number % 2 else reset(wire)
        until(lambda: server.connections() == 0, "all are forgotten")
        assert b"half" not in server.engine


@polling_design
def test_who_leaves_while_a_command_runs_is_forgotten(design: str) -> None:
    """A client that resets while its command runs keeps nobody busy; its connection goes when the command is done."""
    engine = GateEngine()
    with besieged(design, engine=engine) as server:
        wires = [server.connect() for _ in range(3)]
        for wire in wires:
            wire.command("SAVE")
            assert engine.arrived.acquire(timeout=DEADLINE_S)
        for wire in wires:
            reset(wire)
        server.lives()
        design_itself = server.server._design
        assert isinstance(design_itself, Loop)
        poller, turns = design_itself._poller, 0
        wait = poller.wait

        def count(timeout_s: float | None) -> list[tuple[int, int]]:
            nonlocal turns
            turns += 1
            return wait(timeout_s)

        poller.wait = count
        server.lives()
        time.sleep(0.3)
        engine.is_open.set()
        until(lambda: server.connections() == 0, "they are forgotten")
        assert turns < 100, "a connection that hung up is no work until its command is done"


@every_design
def test_a_killed_client_is_closed(design: str) -> None:
    """CLIENT KILL closes a client that is idle, one in mid-command, one in MULTI, and one that sends all the time."""
    with besieged(design) as server, server.connect() as killer:
        for beginning in (b"", b"*2\r\n$3\r\nGET\r\n$100\r\nabc", frame("MULTI") + frame("SET", "k", "v")):
            with server.connect() as victim:
                number = victim.call("CLIENT", "ID")
                victim.send(beginning)
                assert killer.call("CLIENT", "KILL", "ID", str(number)) == 1
                victim.rest()
        assert b"k" not in server.engine
        busy = server.connect()
        number = busy.call("CLIENT", "ID")
        flood = threading.Thread(target=_send_until_closed, args=(busy,))
        flood.start()
        assert killer.call("CLIENT", "KILL", "ID", str(number)) == 1
        flood.join(DEADLINE_S)
        assert not flood.is_alive(), "it is still served"
        until(lambda: server.connections() == 1, "all but the killer are forgotten")
        assert isinstance(killer.call("CLIENT", "KILL", "ID", str(number)), ErrorReply | int)
        assert killer.call("PING") == b"PONG"


def _send_until_closed(wire: object) -> None:
    """Send commands and take the replies, until the server has had enough."""
    try:
        while wire.call("PING") == b"PONG":  # type: ignore[attr-defined]
            pass
    except (OSError, EOFError):
        pass


@every_design
def test_a_client_that_kills_itself_gets_its_answer(design: str) -> None:
    """Who kills its own connection is answered first."""
    with besieged(design) as server, server.connect() as wire:
        number = wire.call("CLIENT", "ID")
        wire.command("CLIENT", "KILL", "ID", str(number), "SKIPME", "no")
        assert wire.rest() == b":1\r\n"
        until(lambda: server.connections() == 0, "it is forgotten")


@pytest.mark.parametrize(("design", "answer"), [("loop", b"+OK\r\n"), ("ready", b"+OK\r\n+OK\r\n")])
def test_a_client_killed_while_its_command_runs_is_closed_then(design: str, answer: bytes) -> None:
    """A client whose command runs is closed when that is done; a worker that has it ends what came in one piece."""
    engine = GateEngine()
    with besieged(design, engine=engine) as server, server.connect() as killer, server.connect() as victim:
        number = victim.call("CLIENT", "ID")
        victim.send(frame("SAVE") + frame("SET", "k", "v"))
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        assert killer.call("CLIENT", "KILL", "ID", str(number)) == 1
        assert killer.call("PING") == b"PONG"
        assert not is_closed(victim)
        engine.is_open.set()
        assert victim.rest() == answer
        until(lambda: server.connections() == 1, "it is forgotten")
        assert (b"k" in engine) == (design == "ready")


class PoorPool(NaiveThreadPool):
    """A pool of threads that can run out of them.

    Attributes:
        is_poor: there are none to be had.
    """

    is_poor = False

    def spawn(self, job: Job) -> None:
        """Start a thread for the job, or say as Python does that it cannot be started."""
        if self.is_poor:
            raise RuntimeError("can't start new thread")
        super().spawn(job)


@every_design
def test_without_threads_a_server_lives(design: str) -> None:
    """When no thread can be started a polling design does the work itself; the plain one turns the client away."""
    pool = PoorPool(1)
    with besieged(design, pool=pool) as server, server.connect() as here:
        assert here.call("PING") == b"PONG"
        pool.is_poor = True
        assert here.call("ECHO", "x") == b"x"
        assert here.call("SAVE") == b"OK"
        assert isinstance(here.call("BGREWRITEAOF"), bytes | ErrorReply)
        with server.connect() as wire:
            if design == "jobs":
                assert wire.rest() == FULL
            else:
                assert wire.call("KEYS", "*") == []
        pool.is_poor = False
        server.lives()
        assert here.call("PING") == b"PONG"
