"""A server under test: `kvs serve` in a process of its own, on a port that the system chose."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Protocol, Self, TypeAlias

DEADLINE_S: Final = 15.0
LISTENING: Final = re.compile(rb'Listening on ([^\s",]+)')


@contextlib.contextmanager
def _signals_heard() -> Iterator[None]:
    """Let a child hear the signals that we ignore, as a job in the background does SIGINT; else it would as well."""
    ours = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # only the main thread may
    for number in ours:
        signal.signal(number, lambda _number, _frame: None)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_IGN)


class Process(Protocol):
    """What of a process its tests use, as subprocess.Popen has it."""

    pid: int
    stderr: IO[bytes] | None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when it has ended."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it still runs."""

    def terminate(self) -> None:
        """Send it SIGTERM."""

    def kill(self) -> None:
        """Send it SIGKILL."""


Start: TypeAlias = Callable[[Sequence[str], Mapping[str, str], Path], Process]
"""Starts a process, given its words, its environment and its directory; its stderr is a pipe to us."""


def start_process(words: Sequence[str], environment: Mapping[str, str], directory: Path) -> "subprocess.Popen[bytes]":
    """Start a process as its user would."""
    with _signals_heard():
        return subprocess.Popen(
            words,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


class Served:
    """One running server. As a context manager it is ended when the block is: by SIGTERM, or else by SIGKILL.

    Args:
        command: the words that start the command line under test, as `Target.command`.
        environment: the server's environment.
        directory: the directory of its store.
        words: what stands after `kvs serve`; its address and directory are ours unless words or variables name them.
        must_listen: wait until it listens; else nothing is waited for, and it has no `address`.
        start: starts the process.

    Raises:
        AssertionError: it ended, or said nothing, instead of listening.

    Threads: one that reads what the server writes to stderr, so that it never waits for us.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        words: Sequence[str] = (),
        *,
        must_listen: bool = True,
        start: Start = start_process,
    ) -> None:
        address = [] if "--addr" in words or "KVS_ADDR" in environment else ["--addr", "127.0.0.1:0"]
        place = [] if "--dir" in words or "KVS_DIR" in environment else ["--dir", str(directory)]
        self.directory = directory
        self.words = [*command, "serve", *address, *place, *words]
        self.process = start(self.words, environment, directory.parent)
        self._said = b""
        self._is_over = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="served-stderr", daemon=True)
        self._reader.start()
        self.address = ""
        if not must_listen:
            return
        try:
            self.address = self.wait_to_say(LISTENING)[1].decode()
        except BaseException:
            self.end()
            raise

    # What it says.

    @property
    def stderr(self) -> str:
        """What the server has written to stderr so far."""
        with self._changed:
            return self._said.decode(errors="backslashreplace")

    def wait_to_say(self, pattern: str | bytes | re.Pattern[bytes], deadline_s: float = DEADLINE_S) -> re.Match[bytes]:
        """Return the first match in what the server writes to stderr, waiting for it; text is taken literally."""
        __tracebackhide__ = True
        if not isinstance(pattern, re.Pattern):
            pattern = re.compile(re.escape(pattern.encode() if isinstance(pattern, str) else pattern))
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._whole_line(pattern), deadline_s)
            found = self._whole_line(pattern)
            what = f"the server {'ended' if self._is_over else 'goes on'} without saying {pattern.pattern!r}; it said:"
            assert found, f"{what}\n{self._said.decode(errors='backslashreplace')}"
            return found

    def _whole_line(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Look for the pattern in the lines that are complete: of an address half a port is no port."""
        return pattern.search(self._said[: self._said.rfind(b"\n") + 1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        while chunk := os.read(self.process.stderr.fileno(), 1 << 16):
            with self._changed:
                self._said += chunk
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    # Talking to it.

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def host(self) -> str:
        """The host that it listens on."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.address.rpartition(":")[2])

    def connect(self, timeout_s: float = DEADLINE_S) -> socket.socket:
        """Return a connected socket on which nothing waits longer than this."""
        if self.address.startswith("unix:"):
            talk = socket.socket(socket.AF_UNIX)
            talk.settimeout(timeout_s)
            talk.connect(self.address.removeprefix("unix:"))
            return talk
        talk = socket.create_connection((self.host, self.port), timeout_s)
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return talk

    # Its end.

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Return the exit code when it has ended by itself; that of a signal is negative."""
        __tracebackhide__ = True
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {deadline_s:.0f} s; it said:\n{self.stderr}") from None
        self._reader.join(DEADLINE_S)
        return code

    def stop(self, deadline_s: float = DEADLINE_S) -> int:
        """Ask it to end, as a supervisor does, and return the exit code."""
        __tracebackhide__ = True
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.wait()

    def end(self) -> None:
        """End it, one way or the other, and let go of everything."""
        try:
            self.process.terminate()
            self.process.wait(DEADLINE_S / 3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        if self.process.stderr is not None and not self._reader.is_alive():
            self.process.stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Serve:
    """Starts servers for a test; the fixture `serve` is one of these.

    Args:
        command, environment: as Served.
        directory: where the stores go.
        transcript: takes what was started, and what it said.
        start: starts the processes.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        transcript: list[str],
        start: Start = start_process,
    ) -> None:
        self.directory = directory / "store"
        self._start = start
        self._command = command
        self._environment = dict(environment)
        self._transcript = transcript
        self._served: list[Served] = []

    def __call__(
        self,
        *words: str,
        directory: Path | None = None,
        env: Mapping[str, str] | None = None,
        prefix: str = "",
        must_listen: bool = True,
    ) -> Served:
        """Start `kvs serve` with these words and return it when it listens.

        Args:
            words: options; without an address it gets a port of the system's choice on 127.0.0.1.
            directory: its store; the same for every server of a test unless told otherwise.
            env: variables to set for it.
            prefix: a program to start it with, such as "nohup".
            must_listen: as Served.
        """
        __tracebackhide__ = True
        self._transcript.append("$ kvs serve " + " ".join(words))
        command = [*prefix.split(), *self._command]
        environment = self._environment | dict(env or {})
        place = directory or self.directory
        served = Served(command, environment, place, words, must_listen=must_listen, start=self._start)
        self._served.append(served)
        return served

    def until(self, fact: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until something is true of a server that can only be asked; ask a hundred times a second."""
        __tracebackhide__ = True
        end = time.monotonic() + deadline_s
        while not fact():
            assert time.monotonic() < end, f"{what}: not within {deadline_s:.0f} s"
            time.sleep(0.01)

    def end(self) -> None:
        """End every server that still runs, and keep what each said for the report of a failure."""
        for served in self._served:
            served.end()
            self._transcript += [f"  stderr | {line}" for line in served.stderr.splitlines()[-40:]]
