"""The client and a server that goes wrong: dead, gone, silent, late, or talking nonsense. Nothing is written twice."""

import contextlib
import os
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from scripted import DEADLINE_S, Peer, Scripted, free_address

from kvs import DisconnectedError, KvsClient, ProtocolError, RemoteError, StoreClosedError
from kvs.net.wire import Wire
from kvs.net.wires import Wires

pytestmark = pytest.mark.timeout(30)

READS: dict[str, Callable[[KvsClient], object]] = {
    "get": lambda client: client.get(b"k"),
    "in": lambda client: b"k" in client,
    "len": len,
    "scan": lambda client: list(client.scan()),
    "iteration": list,
    "stats": lambda client: client.stats(),
    "call": lambda client: client.call("ping"),
    "call_many": lambda client: client.call_many([["GET", "a"], ["GET", "b"]]),
}
WRITES: dict[str, Callable[[KvsClient], object]] = {
    "set": lambda client: client.set(b"k", b"v"),
    "remove": lambda client: client.remove(b"k"),
    "pop": lambda client: client.pop(b"k"),
    "write": lambda client: client.write([(b"k", b"v"), (b"l", None)]),
    "clear": lambda client: client.clear(),
    "sync": lambda client: client.sync(),
    "compact": lambda client: client.compact(),
    "call": lambda client: client.call("incr", "k"),
    "call of something unknown": lambda client: client.call("FROBNICATE"),
    "call_many with one write among reads": lambda client: client.call_many([["GET", "a"], ["SET", "b", "c"]]),
}


def idle_wire(client: KvsClient) -> Wire:
    """Return the client's one idle connection."""
    (wire,) = client._caller.wires._idle
    return wire


def wait_for_end(client: KvsClient) -> None:
    """Return when the system knows that the server has closed the client's idle connection."""
    ready, _, _ = select.select([idle_wire(client)._talk], [], [], DEADLINE_S)
    assert ready, "the server does not close the connection"


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("half", [b"", b"$5\r\nhal", b"*2\r\n$1\r\n"], ids=["nothing", "half", "array"])
def test_a_read_that_breaks_is_repeated_once(name: str, half: bytes) -> None:
    """A read whose connection breaks in mid-reply is asked again, once, on a new connection; then it is an error."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(half)

    with Scripted(script) as server, KvsClient(server.address) as client:
        with pytest.raises(DisconnectedError, match=re.escape(server.address)) as caught:
            READS[name](client)
        assert (caught.value.cause, caught.value.is_in_doubt) == ("gone", False)
        assert "may or may not" not in str(caught.value)
        assert server.connections == 2


def test_a_read_repeated_has_the_second_answer() -> None:
    """What the second connection answers is the answer; nothing of the first one's half reply is in it."""

    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.answer(b"$5\r\nol")
        else:
            peer.serve(lambda _: b"$5\r\nfresh\r\n")

    with Scripted(script) as server, KvsClient(server.address) as client:
        assert client.get(b"k") == b"fresh"
        assert client.get(b"k") == b"fresh"
        assert server.connections == 2


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_breaks_is_never_repeated(name: str) -> None:
    """A write whose connection breaks after it was sent is in doubt: the error says so, and it was sent once."""

    def script(peer: Peer) -> None:
        command = peer.hear()
        if command == [b"MULTI"] and peer.hear() == [b"DISCARD"]:  # as a first question, whether it knows MULTI
            peer.say(b"+OK\r\n+OK\r\n")
            peer.hear()

    with Scripted(script) as server, KvsClient(server.address) as client:
        with pytest.raises(DisconnectedError, match="may or may not have been applied") as caught:
            WRITES[name](client)
        assert (caught.value.cause, caught.value.is_in_doubt) == ("gone", True)
        assert server.connections == 1


@pytest.mark.parametrize("ask", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
def test_an_idle_connection_found_dead_is_replaced(ask: Callable[[KvsClient], object]) -> None:
    """A connection that the server closed while it was idle is replaced before anything is sent, for writes too."""

    def script(peer: Peer) -> None:
        peer.answer(b":1\r\n")

    with Scripted(script) as server, KvsClient(server.address) as client:
        assert len(client) == 1
        wait_for_end(client)
        with contextlib.suppress(DisconnectedError, ProtocolError):  # the answer is not of the right kind for all
            ask(client)
        numbers = [server.heard.get_nowait()[0] for _ in range(server.heard.qsize())]
        assert numbers[:2] == [1, 2], "the second command was sent on the second connection"


def test_a_write_of_which_nothing_was_sent_is_sent_on_another_connection() -> None:
    """When a connection takes not one byte of a command, the command was not begun: it goes on another one, once."""

    def script(peer: Peer) -> None:
        peer.answer(b":1\r\n")
        if peer.number > 1:
            peer.expect_end()

    with Scripted(script) as server, KvsClient(server.address) as client:
        assert len(client) == 1
        wait_for_end(client)
        wire = idle_wire(client)
        wire._talk.shutdown(socket.SHUT_WR)
        wire.is_quiet = lambda: True  # type: ignore[method-assign]  # as if it had gone right after we looked
        client.remove(b"k")
        assert server.heard_so_far() == [[b"DBSIZE"], [b"DEL", b"k"]]


def test_a_repetition_takes_a_new_connection() -> None:
    """A read is repeated on a connection opened for it: idle ones may be as broken as the first."""

    def script(peer: Peer) -> None:
        peer.hear()
        if peer.number == 3:
            peer.say(b":7\r\n")

    with Scripted(script) as server, KvsClient(server.address) as client:
        wires = client._caller.wires
        for wire in [wires.take(), wires.take()]:
            wires.give_back(wire)
        assert len(client) == 7
        assert server.connections == 3


def test_words_said_unasked_end_an_idle_connection() -> None:
    """What a server says on an idle connection is not taken for the next command's answer."""
    gate = threading.Event()

    def script(peer: Peer) -> None:
        peer.answer(b"$5\r\nright\r\n")
        if peer.number == 1:
            assert gate.wait(DEADLINE_S)
            peer.say(b"$5\r\nstale\r\n")
            peer.expect_end()

    with Scripted(script) as server, KvsClient(server.address) as client:
        assert client.get(b"k") == b"right"
        gate.set()
        wait_for_end(client)
        assert client.get(b"k") == b"right"
        assert server.connections == 2


def test_more_replies_than_commands_end_the_connection() -> None:
    """A server that answers more than it was asked is not believed, and its connection not used again."""

    def script(peer: Peer) -> None:
        peer.answer(b"$1\r\na\r\n" * (2 if peer.number == 1 else 1))
        peer.expect_end()

    with Scripted(script) as server, KvsClient(server.address) as client:
        with pytest.raises(ProtocolError, match="expected 1 replies, found 2"):
            client.get(b"k")
        assert client.get(b"k") == b"a"
        assert server.connections == 2


@pytest.mark.parametrize("more", [b"$5\r\nst", b"*1\r\n", b"+", b"junk"])
def test_what_follows_a_reply_ends_the_connection(more: bytes) -> None:
    """After a reply with the beginning of something behind it, the next command goes on another connection."""

    def script(peer: Peer) -> None:
        peer.answer(b"$1\r\na\r\n" + more * (peer.number == 1))
        peer.expect_end()

    with Scripted(script) as server, KvsClient(server.address) as client:
        assert client.get(b"k") == b"a"
        assert client.get(b"k") == b"a"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("ask", "answer", "complaint"),
    [
        (READS["get"], b"HTTP/1.1 400 Bad Request\r\n", "expected the mark of a reply, found b'H'"),
        (READS["get"], b"$5x\r\n", "expected a size"),
        (READS["get"], b":1\r\n", "expected a reply of type bytes, found 1"),
        (READS["len"], b"$1\r\n3\r\n", "expected a reply of type int, found b'3'"),
        (READS["len"], b"$-1\r\n", "expected a reply of type int, found null"),
        (READS["scan"], b"+OK\r\n", "expected a reply of type list"),
        (READS["scan"], b"*2\r\n$1\r\na\r\n:1\r\n", "expected a reply of type bytes"),
        (READS["scan"], b"*1\r\n$1\r\na\r\n", "expected keys and values in pairs"),
        (READS["stats"], b"$3\r\na:b\r\n", "expected the figures of an engine"),
        (WRITES["set"], b":1\r\n", "expected OK, found 1"),
        (WRITES["set"], b"$-1\r\n", "expected OK, found null"),
        (WRITES["remove"], b"+OK\r\n", "expected a reply of type int, found b'OK'"),
        (WRITES["compact"], b"*0\r\n", "expected OK, found list of 0"),
    ],
)
def test_a_reply_of_the_wrong_kind_is_named(ask: Callable[[KvsClient], object], answer: bytes, complaint: str) -> None:
    """What is no reply, or none that the command can have, is a ProtocolError with what was expected and found."""
    with (
        Scripted(lambda peer: peer.serve(lambda _: answer)) as server,
        KvsClient(server.address) as client,
        pytest.raises(ProtocolError, match=re.escape(complaint)),
    ):
        ask(client)


@pytest.mark.parametrize(("ask", "is_write"), [(READS["get"], False), (WRITES["set"], True)])
def test_silence_is_an_error_and_a_late_answer_nobodys(ask: Callable[[KvsClient], object], is_write: bool) -> None:
    """No answer in time is a DisconnectedError; the connection is closed, so that the late answer reaches nobody."""
    is_late = threading.Event()

    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.hear()
            assert is_late.wait(DEADLINE_S)
            peer.expect_end()
        else:
            peer.serve(lambda _: b"$5\r\nright\r\n")

    with Scripted(script) as server, KvsClient(server.address, timeout_s=0.1) as client:
        began = time.monotonic()
        with pytest.raises(DisconnectedError, match=r"no answer within 0\.1 s") as caught:
            ask(client)
        assert 0.1 <= time.monotonic() - began < 5
        assert (caught.value.cause, caught.value.is_in_doubt) == ("silent", is_write)
        is_late.set()
        client._caller._timeout_s = DEADLINE_S
        assert client.get(b"k") == b"right"
        assert server.connections == 2, "who is slow is not asked twice"


def test_slow_is_not_silent() -> None:
    """The time-out is of silence: an answer that takes longer in all, and keeps coming, is waited for."""
    step = threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        for byte in b"$9\r\n123456789\r\n":
            step.wait(0.1)
            peer.say(bytes([byte]))

    with Scripted(script) as server, KvsClient(server.address, timeout_s=1.0) as client:
        assert client.get(b"k") == b"123456789"


def test_sync_and_compact_wait_as_long_as_it_takes() -> None:
    """SAVE, KVS.COMPACT and FLUSHALL have no time-out: a disk is as fast as it is."""
    pause = threading.Event()

    def slowly(_: list[bytes]) -> bytes:
        pause.wait(0.2)
        return b"+OK\r\n"

    with Scripted(lambda peer: peer.serve(slowly)) as server, KvsClient(server.address, timeout_s=0.05) as client:
        client.sync()
        client.compact()
        client.clear()
        with pytest.raises(DisconnectedError):
            client.set(b"k", b"v")


def test_an_exception_in_mid_command_gives_the_connection_up() -> None:
    """A signal handler that raises, as Ctrl-C does, leaves no connection behind on which an answer is still to come."""

    class AlarmError(Exception):
        """What the handler raises."""

    def alarm(*_: object) -> None:
        raise AlarmError

    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.hear()
            os.kill(os.getpid(), signal.SIGALRM)
            peer.expect_end()
        else:
            peer.answer(b"$5\r\nright\r\n")

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with Scripted(script) as server, KvsClient(server.address) as client:
            with pytest.raises(AlarmError):
                client.get(b"k")
            assert client.get(b"k") == b"right"
            assert server.connections == 2
    finally:
        signal.signal(signal.SIGALRM, before)


def test_nobody_there_is_one_line() -> None:
    """Where nobody listens the error names the address and the reason, for any call, and nothing is in doubt."""
    address = free_address()
    with KvsClient(address) as client:
        for ask in (READS["get"], WRITES["set"], WRITES["write"]):
            with pytest.raises(DisconnectedError) as caught:
                ask(client)
            assert str(caught.value) == f"cannot reach {address}: Connection refused"
            assert (caught.value.cause, caught.value.is_in_doubt) == ("unreachable", False)
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("address", ["no-such-host.invalid:4000", "a..b:4000", f"{'x' * 300}:4000", "unix:/nowhere/s"])
def test_an_address_that_leads_nowhere_is_unreachable(address: str) -> None:
    """A name that cannot be resolved and a socket that is not there are told as such, in one line."""
    with KvsClient(address) as client, pytest.raises(DisconnectedError, match=r"^cannot reach [^\n]+: [^\n]+\Z"):
        client.get(b"k")


def test_a_full_server_is_told_by_its_own_words() -> None:
    """A server that says why it closes the connection, as at its limit of clients, is heard."""

    def script(peer: Peer) -> None:
        peer.say(b"-ERR max number of clients reached\r\n")

    with Scripted(script) as server, KvsClient(server.address) as client:
        for ask in (READS["get"], WRITES["set"], READS["call_many"]):
            with pytest.raises((RemoteError, DisconnectedError), match="max number of clients"):
                ask(client)


def test_error_replies_are_raised_and_the_connection_lives() -> None:
    """An error reply becomes a RemoteError with code and message, and the next command uses the same connection."""
    answers = iter([b"-WRONGTYPE not this one\r\n", b"-plain words\r\n", b"$1\r\na\r\n"])
    with Scripted(lambda peer: peer.serve(lambda _: next(answers))) as server, KvsClient(server.address) as client:
        with pytest.raises(RemoteError, match=r"^WRONGTYPE not this one$") as caught:
            client.get(b"k")
        assert caught.value.code == "WRONGTYPE"
        with pytest.raises(RemoteError, match=r"^plain words$"):
            client.set(b"k", b"v")
        assert client.get(b"k") == b"a"
        assert server.connections == 1


def test_a_huge_pipeline_does_not_deadlock() -> None:
    """A pipeline that fills the buffers of both sides comes through, with a server that reads only when it has sent."""
    value = bytes(64 * 1024)

    def script(peer: Peer) -> None:
        peer.serve(lambda words: b"$%d\r\n%b\r\n" % (len(words[2]), words[2]))

    with Scripted(script) as server, KvsClient(server.address) as client:
        replies = client.call_many([["ECHOED", str(number), value] for number in range(300)])
        assert replies == [value] * 300


def test_a_pipeline_that_breaks_says_how_far_it_came() -> None:
    """When the connection breaks within a pipeline, the error says how many answers there were."""

    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.answer(b"+OK\r\n")

    with (
        Scripted(script) as server,
        KvsClient(server.address) as client,
        pytest.raises(DisconnectedError, match="after 3 of 5 answers; what was being written may or may not"),
    ):
        client.call_many([["SET", "k", "v"]] * 5)


def test_threads_have_connections_of_their_own() -> None:
    """A thread whose command takes long keeps no other waiting; afterwards the connections are used again."""
    gate = threading.Event()

    def answer(words: list[bytes]) -> bytes:
        if words[1] == b"slow":
            assert gate.wait(DEADLINE_S)
        return b"$%d\r\n%b\r\n" % (len(words[1]), words[1])

    with Scripted(lambda peer: peer.serve(answer)) as server, KvsClient(server.address) as client:
        found: list[bytes | None] = []
        slow = threading.Thread(target=lambda: found.append(client.get(b"slow")))
        slow.start()
        assert server.heard.get(timeout=DEADLINE_S)[1] == [b"GET", b"slow"]
        for _ in range(3):
            assert client.get(b"quick") == b"quick"
        gate.set()
        slow.join(DEADLINE_S)
        assert found == [b"slow"]
        assert client.get(b"quick") == b"quick"
        assert server.connections == 2


def test_connections_are_bounded() -> None:
    """With as many connections in use as there can be, the next thread waits until one is given back."""
    gate = threading.Event()

    def answer(_: list[bytes]) -> bytes:
        assert gate.wait(DEADLINE_S)
        return b"+PONG\r\n"

    with Scripted(lambda peer: peer.serve(answer)) as server, KvsClient(server.address) as client:
        client._caller.wires = Wires(client._caller.wires._dial, most=2)
        threads = [threading.Thread(target=partial(client.call, "PING")) for _ in range(5)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            server.heard.get(timeout=DEADLINE_S)
        gate.set()
        for thread in threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
        assert server.connections == 2
        assert len(client._caller.wires._idle) <= 2


def test_close_ends_idle_connections_and_spares_a_command_under_way() -> None:
    """close() closes what is idle at once and what is in use when its answer is there; then everything raises."""
    gate, ended = threading.Event(), threading.Semaphore(0)

    def script(peer: Peer) -> None:
        command = peer.hear()
        if command[1] == b"slow":
            assert gate.wait(DEADLINE_S)
        peer.say(b"$1\r\na\r\n")
        if peer.number == 2:
            peer.answer(b"$1\r\nb\r\n")
        peer.expect_end()
        ended.release()

    with Scripted(script) as server, KvsClient(server.address) as client:
        found: list[bytes | None] = []
        slow = threading.Thread(target=lambda: found.append(client.get(b"slow")))
        slow.start()
        server.heard.get(timeout=DEADLINE_S)
        assert client.get(b"quick") == b"a"
        assert client.get(b"quick") == b"b"
        client.close()
        assert ended.acquire(timeout=DEADLINE_S), "the idle connection is closed"
        gate.set()
        slow.join(DEADLINE_S)
        assert found == [b"a"]
        assert ended.acquire(timeout=DEADLINE_S), "the other one is closed when its command is done"
        client.close()
        for ask in [*READS.values(), *WRITES.values(), partial(KvsClient.scan), lambda each: each.write([])]:
            with pytest.raises(StoreClosedError, match="the store is closed"):
                ask(client)
        assert repr(client) == f"<KvsClient {server.address!r}, closed>"
        assert server.connections == 2


def test_a_forked_child_has_connections_of_its_own() -> None:
    """After a fork the child opens its own connection and closes its copy; the parent goes on with the old one."""
    with Scripted(lambda peer: peer.serve(lambda _: b":%d\r\n" % peer.number)) as server:
        client = KvsClient(server.address)
        assert len(client) == 1
        talk = idle_wire(client)._talk
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write_end, b"%d %d" % (len(client), talk.fileno()))
                client.close()
            finally:
                os._exit(0)
        os.close(write_end)
        ready, _, _ = select.select([read_end], [], [], DEADLINE_S)
        assert ready, "the child hangs"
        assert os.read(read_end, 100) == b"2 -1"
        os.close(read_end)
        os.waitpid(child, 0)
        assert len(client) == 1, "the parent's connection is as it was"
        client.close()


def test_a_client_that_is_dropped_lets_go_of_its_connections() -> None:
    """A client that nobody holds any more closes its connections, without a warning about sockets left open."""
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.answer(b":1\r\n")
        peer.expect_end()
        ended.set()

    with Scripted(script) as server:
        assert len(KvsClient(server.address)) == 1
        assert ended.wait(DEADLINE_S)


def test_what_binds_a_connection_ends_with_it() -> None:
    """After a command that changes the connection itself, the next caller gets another one."""
    with (
        Scripted(lambda peer: peer.serve(lambda _: b":%d\r\n" % peer.number)) as server,
        KvsClient(server.address) as client,
    ):
        for number, words in enumerate([["select", 1], ["HELLO", 3], ["MULTI"], ["WATCH", "k"], ["AUTH", "x"]], 1):
            assert client.call(*words) == number
        assert client.call_many([["MULTI"], ["GET", "k"], ["EXEC"]]) == [6, 6, 6]
        assert client.call("GET", "k") == 7
        assert client.call("GET", "k") == 7


@pytest.mark.parametrize(
    "refusal",
    [
        b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        b"-ERR unknown command 'AUTH', with args beginning with: 's3cret' \r\n",
        b"-ERR s3cret s3cret\r\n",
    ],
)
def test_the_password_is_in_no_message(refusal: bytes) -> None:
    """A refused password is a RemoteError, whose words never repeat it, whatever the server says; nor does any repr."""
    with (
        Scripted(lambda peer: peer.serve(lambda _: refusal)) as server,
        KvsClient(server.address, password="s3cret") as client,
    ):
        with pytest.raises(RemoteError) as caught:
            client.get(b"k")
        assert caught.value.code == refusal[1:].split()[0].decode()
        told = [str(caught.value), repr(caught.value), repr(client), repr(client._caller), repr(caught.value.__cause__)]
        assert not any("s3cret" in each for each in told)
        assert server.heard_so_far() == [[b"AUTH", b"s3cret"]]


def test_the_password_is_shown_first_on_each_connection() -> None:
    """With a password each connection begins with AUTH; without one, with the command itself."""
    with (
        Scripted(lambda peer: peer.serve(lambda words: b"+OK\r\n" if words[0] == b"AUTH" else b":1\r\n")) as server,
        KvsClient(server.address, password="pässword") as client,
    ):
        assert len(client) == 1
        idle_wire(client).is_sound = False
        assert b"k" in client
        assert b"k" in client
        assert server.heard_so_far() == [[b"AUTH", "pässword".encode()], [b"DBSIZE"], *[[b"EXISTS", b"k"]] * 2]


@pytest.mark.parametrize(
    ("answers", "error", "message"),
    [
        (b"+OK\r\n+QUEUED\r\n-ERR no such thing\r\n-EXECABORT discarded\r\n", RemoteError, "^ERR no such thing"),
        (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n", ProtocolError, "expected 2 results of EXEC, found null"),
        (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*1\r\n+OK\r\n", ProtocolError, "expected 2 results of EXEC, found list of 1"),
        (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-OOM full\r\n", RemoteError, "^OOM full"),
        (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n-READONLY not here\r\n", RemoteError, "^READONLY not here"),
    ],
)
def test_what_exec_answers_is_heard(answers: bytes, error: type[Exception], message: str) -> None:
    """A batch is done when EXEC says so; an error before it, of it or within it, and a null, are errors."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.answer(b"+OK\r\n+OK\r\n")
        for _ in range(3):
            peer.hear()
        peer.answer(answers)
        peer.expect_end()

    with Scripted(script) as server, KvsClient(server.address) as client:
        with pytest.raises(error, match=message):
            client.write([(b"a", b"1"), (b"b", None)])
        sent = server.heard_so_far()
        assert sent == [[b"MULTI"], [b"DISCARD"], [b"MULTI"], [b"MSET", b"a", b"1"], [b"DEL", b"b"], [b"EXEC"]]


def test_a_server_without_transactions_gets_no_batch() -> None:
    """Where MULTI is refused nothing of a batch is sent, for it would be carried out piece by piece."""
    refusal = b"-ERR unknown command 'MULTI'\r\n"
    with Scripted(lambda peer: peer.serve(lambda _: refusal)) as server, KvsClient(server.address) as client:
        for _ in range(2):
            with pytest.raises(RemoteError, match="unknown command 'MULTI'"):
                client.write([(b"a", b"1")])
        assert {words[0] for words in server.heard_so_far()} == {b"MULTI", b"DISCARD"}


def test_the_server_may_come_back(tmp_path: Path) -> None:
    """A client outlives its server: while it is away calls fail, and work again when somebody listens there."""

    def script(peer: Peer) -> None:
        peer.serve(lambda _: b"$1\r\na\r\n")

    room = tmp_path / "socket"
    with KvsClient(f"unix:{room}") as client:
        for _ in range(3):
            with pytest.raises(DisconnectedError, match="cannot reach unix:"):
                client.get(b"k")
            with Scripted(script, path=room):
                assert client.get(b"k") == b"a"
                assert client.get(b"k") == b"a"
                client._caller.wires._idle.pop().close()
            room.unlink()
