"""Starting `python -m kvs` quickly: a process that has imported typer waits, and forks one that runs the command.

Most of a short command's time goes into importing libraries, and a suite runs a hundred of them. The fork has
imported nothing of `kvs`; it finds its own directory, environment, words and files, and ends as any process does. The
suites start some commands in the ordinary way too (`Cli.session`), and with --cmd all of them.

Protocol, over a stream socket: four bytes of size and a JSON object {argv, cwd, env}, with the descriptors for stdin,
stdout and stderr beside it; the answer is the exit code as four bytes.
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
from typing import Final

NUMBER: Final = struct.Struct("<i")


class WarmStart:
    """The waiting process, from outside.

    Args:
        environment: its environment, which says where `kvs` is.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # so that it can be killed together with what it forked
            )

    def run(
        self, words: Sequence[str], *, stdin: bytes, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run one command to its end.

        Raises:
            subprocess.TimeoutExpired: it does not end; the waiting process is gone with it.
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
                raise subprocess.TimeoutExpired(list(words), timeout)
            (exit_code,) = NUMBER.unpack(self._socket.recv(NUMBER.size, socket.MSG_WAITALL))
            for file in files[1:]:
                file.seek(0)
            return subprocess.CompletedProcess(list(words), exit_code, files[1].read(), files[2].read())

    def close(self) -> None:
        """End the waiting process, and whatever it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()


def wait_for_a_command(channel: socket.socket) -> list[str]:
    """Fork for each request. Returns its words, in the fork; the waiting process itself ends with the other side."""
    while True:
        size, descriptors, _, _ = socket.recv_fds(channel, NUMBER.size, 3, socket.MSG_WAITALL)
        if not size:
            os._exit(0)
        request = json.loads(channel.recv(NUMBER.unpack(size)[0], socket.MSG_WAITALL))
        pid = os.fork()
        if pid == 0:
            channel.close()
            for standard, descriptor in enumerate(descriptors):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            return list(request["argv"])
        for descriptor in descriptors:
            os.close(descriptor)
        channel.sendall(NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


if __name__ == "__main__":
    for library in ("typer", "typer.main", "typer.core"):
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    found = wait_for_a_command(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[1:] = found
    sys.path.insert(0, os.getcwd())  # as `python -m` does
    runpy.run_module("kvs", run_name="__main__", alter_sys=True)
