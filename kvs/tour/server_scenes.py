"""The tour's scenes of the server: asked by Redis's client and by ours, compacted while it serves, stopped."""

import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kvs.log.store import LogEngine
from kvs.log.verify import check
from kvs.net.client import KvsClient
from kvs.net.options import ServerOptions
from kvs.resp.frame import encode_command
from kvs.tour.served import DEADLINE_S, GLANCES_S, Served, served
from kvs.tour.stage import Stage

ACT: Final = 3
WHERE_NEXT: Final = (("kvs serve", "for Redis's clients, on port 4000"),)
LAST_WRITES: Final = 200
"""Under way when the server is stopped; together less than it takes from a connection at a time, 16 KiB."""
READS_AT_ONCE: Final = 10


def serve(stage: Stage) -> None:
    """A server is asked, compacts while it is asked, and ends with all that it acknowledged on disk."""
    with LogEngine.open(stage.store, flag="r") as store:
        pairs = dict(store)
    stage.title("Serve: the same names, over the network")
    with served(stage) as server, KvsClient(server.address, timeout_s=DEADLINE_S) as client:
        _ask_with_redis_cli(stage, server, pairs)
        _ask_with_ours(stage, server, client, pairs)
        pairs = _compact(stage, server, client, pairs)
        pairs |= _stop(stage, server)
    _reopen(stage, pairs)


SCENES: Final = (serve,)


def _ask_with_redis_cli(stage: Stage, server: Served, pairs: dict[bytes, bytes]) -> None:
    """Ask with the client that everybody has, if it is here."""
    if shutil.which("redis-cli") is None:
        stage.say("redis-cli, Redis's own client, is not installed here, so it is left out.")
        return
    stage.say("It speaks the protocol of Redis, so Redis's own client can ask it.")
    redis_cli = ("redis-cli", "-p", str(server.port), "--raw")
    answer = stage.run_other(*redis_cli, "get", "SNOWMAN")
    stage.claim(answer.encode() == pairs[b"SNOWMAN"] + b"\n", "redis-cli finds SNOWMAN")
    answer = stage.run_other(*redis_cli, "dbsize")
    stage.claim(answer == f"{len(pairs)}\n", f"and {len(pairs):,} keys, as many as are stored")
    prefix = "GREEK SMALL LETTER"
    answer = stage.run_other(*redis_cli, "--scan", "--pattern", f"{prefix}*", shows=3)
    expected = sorted(key.decode() for key in pairs if key.startswith(prefix.encode()))
    stage.claim(sorted(answer.splitlines()) == expected, f"of them {len(expected)} Greek small letters, each once")


def _ask_with_ours(stage: Stage, server: Served, client: KvsClient, pairs: dict[bytes, bytes]) -> None:
    """Ask with the command line, and for everything at once with the client for programs."""
    answer = stage.run("get", "SNOWMAN", "--addr", server.address)
    stage.claim(answer.encode() == pairs[b"SNOWMAN"] + b"\n", "our own command line finds the same")
    started = time.perf_counter()
    seen = dict(client.scan())
    seconds = time.perf_counter() - started
    stage.claim(seen == pairs, f"KvsClient fetches all {len(pairs):,} pairs in {seconds:.1f} seconds, each one right")


def _compact(stage: Stage, server: Served, client: KvsClient, pairs: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Overwrite every value, and have the server compact while it is read from; return what is stored then."""
    stage.title("SIGHUP: compact, and go on serving")
    stage.say("Every key gets a new value, SNOWMAN now U+2603, all in one transaction.")
    pairs = {key: b"U+%04X" % ord(character.decode()) for key, character in pairs.items()}
    client.write(pairs.items())
    before = client.stats()
    full_bytes = before.live_bytes + before.dead_bytes
    stage.show_bytes("before", before.live_bytes, before.dead_bytes, full_bytes)
    stage.claim(before.dead_bytes > 0, f"INFO tells of {before.dead_bytes:,} dead bytes: the values before")
    # Where hang-ups are ignored, as under nohup, the server ignores them as well; that is what SIGUSR1 is for.
    is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    server.send(stage, signal.SIGUSR1 if is_deaf else signal.SIGHUP)
    answered = _read_while_compacting(stage, client, pairs)
    after = client.stats()
    stage.show_bytes("after", after.live_bytes, after.dead_bytes, full_bytes)
    stage.claim(after.dead_bytes == 0, f"none are dead now, and {answered:,} reads were answered meanwhile, all right")
    stage.claim(dict(client.scan()) == pairs, f"the {len(pairs):,} keys have their new values")
    return pairs


def _read_while_compacting(stage: Stage, client: KvsClient, pairs: dict[bytes, bytes]) -> int:
    """Read until nothing is dead any more, and return how many reads were answered.

    Raises:
        ClaimError: one was answered wrongly, or the compaction does not come to its end.
    """
    keys = list(pairs)
    answered = 0
    with ThreadPoolExecutor(1) as onlookers:  # INFO may wait for the compaction; reads do not
        is_compacted = onlookers.submit(_wait_until_compacted, client)
        while not is_compacted.done():
            some = keys[answered % len(keys) :][:READS_AT_ONCE]
            if client.call_many([(b"GET", key) for key in some]) != [pairs[key] for key in some]:
                stage.fail("each read is answered rightly while the server compacts")
            answered += len(some)
    if not is_compacted.result():
        stage.fail(f"the compaction is done within {DEADLINE_S:.0f} seconds")
    return answered


def _wait_until_compacted(client: KvsClient) -> bool:
    """Tell whether nothing is dead any more before the time is up."""
    give_up_at_s = time.monotonic() + DEADLINE_S
    while client.stats().dead_bytes:
        if time.monotonic() > give_up_at_s:
            return False
        time.sleep(GLANCES_S)
    return True


def _stop(stage: Stage, server: Served) -> dict[bytes, bytes]:
    """Stop the server while writes are on their way, and return these."""
    stage.title("SIGTERM: stop, and lose nothing")
    stage.say(f"A client sends {LAST_WRITES} writes in one go, and the server is told to stop.")
    last = {f"LAST WRITE {number:03}".encode(): b"%d" % number for number in range(LAST_WRITES)}
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as talk, talk.makefile("rb") as replies:
        talk.sendall(encode_command([b"PING"]))
        stage.claim(replies.readline() == b"+PONG\r\n", "the client is connected")
        talk.sendall(b"".join(encode_command([b"SET", key, value]) for key, value in last.items()))
        server.send(stage, signal.SIGTERM)
        told_at_s = time.perf_counter()
        stage.claim(replies.read() == b"+OK\r\n" * LAST_WRITES, "all of its writes were answered, each with OK")
    status = server.wait()
    seconds = time.perf_counter() - told_at_s
    is_prompt = seconds < ServerOptions().drain_timeout_s  # else it waited for a client that had nothing more to say
    stage.claim(status == 0 and is_prompt, f"the server ended by itself, in {seconds:.1f} seconds, with exit status 0")
    return last


def _reopen(stage: Stage, pairs: dict[bytes, bytes]) -> None:
    """See what is on the disk afterwards."""
    with LogEngine.open(stage.store, flag="w") as store:
        stage.claim(store.stats().recovery.was_clean, "the store knows that it was closed")
        is_same = dict(store) == pairs
        stage.claim(is_same and len(store) == len(pairs), f"{len(pairs):,} keys are in it, those writes among them")
    stage.claim(not check(stage.store).findings, "and a check of every byte finds nothing wrong")
