"""A server of the tour's own: `kvs serve` in another process, which ends with its block."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Final

from kvs.tour.stage import Stage

DEADLINE_S: Final = 60.0
ENDING_S: Final = 10.0
"""How long a server may take to end when the tour is over for it, before it is killed."""
GLANCES_S: Final = 0.02
"""How often the tour looks whether something that takes its time is done."""
_LISTENING: Final = re.compile(r"Listening on (\S+:(\d+))\n")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens.

    Args:
        process: it runs in this one.
        address: "HOST:PORT".
        port: that port.
    """

    process: "subprocess.Popen[bytes]"
    address: str
    port: int

    def send(self, stage: Stage, number: Signals) -> None:
        """Send it a signal, for all to see."""
        stage.show_signal(number, self.process.pid)
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return its exit status when it has ended by itself.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        return self.process.wait(DEADLINE_S)


@contextmanager
def served(stage: Stage) -> Iterator[Served]:
    """Serve the stage's store, on a port of this machine alone that the system chooses.

    Raises:
        ClaimError: it does not listen.
    """
    words = ("serve", "--addr", "127.0.0.1:0")
    log = stage.directory / "server.log"
    stage.show_command("kvs", words, "&")
    with log.open("wb") as said, stage.process(stage.command(words), stdout=said, stderr=said) as process:
        try:
            yield _listening(stage, process, log)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):  # then it is killed
                process.wait(ENDING_S)


def _listening(stage: Stage, process: "subprocess.Popen[bytes]", log: Path) -> Served:
    """Return the server when it says that it listens.

    Raises:
        ClaimError: it ended, or took too long.
    """
    give_up_at_s = time.monotonic() + DEADLINE_S
    while True:
        has_ended = process.poll() is not None  # asked first: after that it says nothing more
        said = log.read_text(encoding="utf-8", errors="replace")
        found = _LISTENING.search(said)
        if found is not None:
            stage.show_line(found[0].strip())
            return Served(process, found[1], int(found[2]))
        if has_ended or time.monotonic() > give_up_at_s:
            stage.fail(f"kvs serve {'ended' if has_ended else 'goes on'} without listening: {said.strip()}")
        time.sleep(GLANCES_S)
