"""Kills of a server: clients write over the wire, `kvs serve` is killed with SIGKILL, over and over, and started again.

    python -m support.crash.wire_kills DIRECTORY SEED CYCLES CLIENTS

Each client has keys of its own, and a history of its own that it goes on with after each start: numbered steps, each a
set, a removal or several sets at once, sent a few at a time. When the server was killed the store is opened without any
help. What it holds of a client must be what its history comes to after some step: not before the last one that was
acknowledged, not after the last one that was sent, and no step by half. Designs, sync modes and sizes change from
cycle to cycle; in some a compaction is asked for just before the kill. Prints one line of JSON.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from random import Random
from typing import Final

from kvs.log.store import LogEngine
from support.crash.run import Model
from support.crash.workload import MODES
from support.served import Served
from support.wire import Wire, frame

KEYS: Final = 12
DESIGNS: Final = ("loop", "ready", "jobs")
DEADLINE_S: Final = 60.0


def step_of(client: int, number: int) -> tuple[str, list[bytes]]:
    """Return the n-th step of a client as the words of a command: mostly a set, sometimes DEL, sometimes MSET."""
    rng = Random(client << 32 | number)
    keys = [b"%d:%d" % (client, key) for key in rng.sample(range(KEYS), 3)]
    values = [b"%d:" % number + rng.randbytes(rng.randint(0, 200)) for _ in keys]
    kind = rng.random()
    if kind < 0.15:
        return "DEL", keys[:2]
    if kind < 0.3:
        return "MSET", [word for pair in zip(keys, values, strict=True) for word in pair]
    return "SET", [keys[0], values[0]]


def apply(model: Model, client: int, number: int) -> None:
    """Let the model of a client's keys do its n-th step."""
    name, words = step_of(client, number)
    if name == "DEL":
        for key in words:
            model.pop(key, None)
    else:
        model.update(zip(words[::2], words[1::2], strict=True))


class Client(threading.Thread):
    """A client that writes until its server is gone.

    Attributes:
        model: its keys after step `done`.
        done: how many steps of its history are known to have happened.
        acknowledged, sent: how many were, at the end of its last conversation.
        complaints: what the server answered that it should not have.
    """

    def __init__(self, number: int, model: Model, done: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.number = number
        self.model = model
        self.done = self.acknowledged = self.sent = done
        self.complaints: list[str] = []
        self._wire: Wire | None = None
        self._rng = Random(number << 32 | done)

    def begin(self, wire: Wire) -> None:
        """Begin to write."""
        self._wire = wire
        self.start()

    def run(self) -> None:
        """Write, a few steps at a time, and take the acknowledgements."""
        assert self._wire is not None
        with self._wire, contextlib.suppress(EOFError, OSError):
            while True:
                steps = range(self.sent, self.sent + self._rng.randint(1, 8))
                data = b"".join(self._frame(number) for number in steps)
                self.sent = steps.stop  # before it is sent: a part of it may arrive, whatever comes of the rest
                self._wire.send(data)
                for number in steps:
                    reply = self._wire.reply()
                    if isinstance(reply, Exception):
                        self.complaints.append(f"client {self.number}, step {number}: {reply}")
                    self.acknowledged += 1

    def _frame(self, number: int) -> bytes:
        name, words = step_of(self.number, number)
        return frame(name, *words)

    def settle(self, found: Model) -> str | None:
        """Find the step after which the store's keys of this client are; return what is wrong if there is none."""
        while self.done < self.acknowledged:
            apply(self.model, self.number, self.done)
            self.done += 1
        while self.model != found and self.done < self.sent:
            apply(self.model, self.number, self.done)
            self.done += 1
        if self.model == found:
            return None
        return f"client {self.number}: its keys are not as after any step from {self.acknowledged} to {self.sent}"


def serve(root: Path, cycle: int) -> Served:
    """Start the server of a cycle; designs, modes and sizes change from one to the next."""
    options = {
        "--design": DESIGNS[cycle % 3],
        "--pool": "naive" if DESIGNS[cycle % 3] == "jobs" else "shared-queue",
        "--sync": MODES[cycle // 3 % 3],
        "--sync-interval": "0.005",
        "--segment-bytes": ["4000", "20000", "100000"][cycle // 9 % 3],
        "--compact-dead-bytes": ["10000", "60000"][cycle % 2],
        "--log-level": "error",
    }
    words = [word for option in options.items() for word in option]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KVS_")}
    return Served([sys.executable, "-P", "-m", "kvs"], environment, root, words)


def run_until_killed(root: Path, cycle: int, clients: list[Client], rng: Random) -> None:
    """Serve the clients, kill the server in mid-work, and wait for the clients to notice."""
    with serve(root, cycle) as served:
        for client in clients:
            client.begin(Wire(served.connect()))
        before = sum(client.acknowledged for client in clients)
        wanted = before + rng.randint(1, 1_000)
        deadline = time.monotonic() + DEADLINE_S
        while sum(client.acknowledged for client in clients) < wanted:
            if time.monotonic() > deadline or served.process.poll() is not None:
                raise AssertionError(f"cycle {cycle}: the server stands still, or is gone:\n{served.stderr}")
            time.sleep(0.001)
        if cycle % 2:
            served.signal(signal.SIGHUP)
            time.sleep(rng.random() / 100)
        served.kill()
        for client in clients:
            client.join(DEADLINE_S)
            if client.is_alive():
                raise AssertionError(f"cycle {cycle}: {client.name} does not notice that the server is gone")


def main(directory: str, seed: str, cycles: str, count: str) -> None:
    """Kill so many servers."""
    rng = Random(int(seed))
    root = Path(directory)
    numbers = range(int(count))
    models: list[tuple[Model, int]] = [({}, 0) for _ in numbers]
    acknowledged = 0
    slowest_s = 0.0
    violations: list[str] = []
    for cycle in range(int(cycles)):
        clients = [Client(number, *models[number]) for number in numbers]
        run_until_killed(root, cycle, clients, rng)
        began = time.monotonic()
        with LogEngine.open(root, flag="w") as store:
            slowest_s = max(slowest_s, time.monotonic() - began)
            found = dict(store.items())
        for client in clients:
            acknowledged += client.acknowledged - models[client.number][1]
            mine = {key: value for key, value in found.items() if key.startswith(b"%d:" % client.number)}
            wrong = client.settle(mine)
            violations += [f"cycle {cycle}: {each}" for each in [*client.complaints, wrong] if each is not None]
        models = [(client.model, client.done) for client in clients]
        if violations:
            break
    told = {
        "kills": cycle + 1,
        "acknowledged": acknowledged,
        "violations": violations,
        "slowest_open_s": round(slowest_s, 3),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
