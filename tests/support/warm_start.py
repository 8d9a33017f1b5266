"""Starting `python -m kvs` quickly: a process that has imported libraries waits, and forks one that runs the command.

Most of a short command's time goes into importing libraries, and a suite runs a hundred of them. The fork has
imported nothing of `kvs`; it finds its own directory, environment, words and files, and ends as any process does. The
suites start some commands in the ordinary way too (`Cli.session`), and with --cmd all of them.

Protocol, over a stream socket: four bytes of size and a JSON object {argv, cwd, env}, with the descriptors for stdin,
stdout and stderr beside it; the answer is the exit code as four bytes. With a fourth descriptor nobody waits for the
command's end: a watcher writes its process id there as four bytes, and its exit code when it has ended.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

NUMBER: Final = struct.Struct("<i")
STARTING_S: Final = 10.0
LIBRARIES: Final = (
    *("typer", "typer.main", "typer.core"),
    *("dataclasses", "http.server", "json", "logging", "queue", "selectors", "socket", "sqlite3", "ssl"),
)
"""What commands import that is not of `kvs`: the second line is what servers do."""


class WarmStart:
    """The waiting process, from outside.

    Args:
        environment: its environment, which says where `kvs` is.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._open()

    def _open(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # so that it can be killed together with what it forked
            )

    def run(
        self, words: Sequence[str], *, stdin: bytes, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run one command to its end.

        Raises:
            subprocess.TimeoutExpired: it does not end. All that was started is gone with it; the next begins anew.
        """
        request = json.dumps({"argv": words, "cwd": str(cwd), "env": dict(env)}).encode()
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write(stdin)
            files[0].seek(0)
            socket.send_fds(self._socket, [NUMBER.pack(len(request))], [file.fileno() for file in files])
            self._socket.sendall(request)
            if not select.select([self._socket], [], [], timeout)[0]:
                self.close()
                self._open()
                raise subprocess.TimeoutExpired(list(words), timeout)
            (exit_code,) = NUMBER.unpack(self._socket.recv(NUMBER.size, socket.MSG_WAITALL))
            for file in files[1:]:
                file.seek(0)
            return subprocess.CompletedProcess(list(words), exit_code, files[1].read(), files[2].read())

    def start(self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> "WarmProcess":
        """Start a command that is to run beside us; its stderr is a pipe to us."""
        request = json.dumps({"argv": words, "cwd": str(cwd), "env": dict(env)}).encode()
        report, theirs = socket.socketpair()
        stderr, their_stderr = os.pipe()
        nowhere = os.open(os.devnull, os.O_RDWR)
        files = [nowhere, nowhere, their_stderr, theirs.fileno()]
        socket.send_fds(self._socket, [NUMBER.pack(len(request))], files)
        self._socket.sendall(request)
        theirs.close()
        os.close(their_stderr)
        os.close(nowhere)
        return WarmProcess(report, os.fdopen(stderr, "rb", buffering=0), words)

    def close(self) -> None:
        """End the waiting process, and whatever it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()


class WarmProcess:
    """A command that runs beside us: as much of subprocess.Popen as a server's tests need.

    Args:
        report: where its process id and then its exit code come from.
        stderr: what it writes there.
        words: what it was started with.
    """

    def __init__(self, report: socket.socket, stderr: IO[bytes], words: Sequence[str]) -> None:
        self._report = report
        self._words = words
        self._returncode: int | None = None
        self.stderr: IO[bytes] | None = stderr
        report.settimeout(STARTING_S)
        (self.pid,) = NUMBER.unpack(report.recv(NUMBER.size, socket.MSG_WAITALL))

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when it has ended; that of a signal is negative.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        if self._returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(list(self._words), timeout or 0)
            told = self._report.recv(NUMBER.size, socket.MSG_WAITALL)
            self._report.close()
            (self._returncode,) = NUMBER.unpack(told) if told else (-signal.SIGKILL,)  # with the waiting process
        return self._returncode

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


def wait_for_a_command(channel: socket.socket) -> list[str]:
    """Fork for each request. Returns its words, in the fork; the waiting process itself ends with the other side."""
    while True:
        size, descriptors, _, _ = socket.recv_fds(channel, NUMBER.size, 4, socket.MSG_WAITALL)
        if not size:
            os._exit(0)
        request = json.loads(channel.recv(NUMBER.unpack(size)[0], socket.MSG_WAITALL))
        is_watched = len(descriptors) == 4
        pid = os.fork()
        if pid == 0:
            channel.close()
            if is_watched:
                watch_a_fork(descriptors.pop())
            for standard, descriptor in enumerate(descriptors):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            return list(request["argv"])
        for descriptor in descriptors:
            os.close(descriptor)
        if is_watched:
            continue
        channel.sendall(NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def watch_a_fork(report: int) -> None:
    """Fork, and return in the fork. The process itself tells the fork's process id and exit code, and ends."""
    pid = os.fork()
    if pid == 0:
        os.close(report)
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a job in the background ignores it, and we may be one
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        return
    os.write(report, NUMBER.pack(pid))
    os.write(report, NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


if __name__ == "__main__":
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    found = wait_for_a_command(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[1:] = found
    sys.path.insert(0, os.getcwd())  # as `python -m` does
    runpy.run_module("kvs", run_name="__main__", alter_sys=True)
