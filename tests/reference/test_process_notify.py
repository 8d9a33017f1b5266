"""The supervisor hears, by sd_notify, that the service is ready, how it is, that it lives, and that it stops."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvs.net.notify import Notifier

DEADLINE_S = 15.0


class Supervisor:
    """A socket that hears what a supervisor would."""

    def __init__(self, name: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.bind(name)

    def hear(self) -> list[str]:
        """Return the lines of the next message."""
        return self.socket.recv(4096).decode().split("\n")

    def has_heard_all(self) -> bool:
        """Tell whether no message waits."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(DEADLINE_S)
        return False


@pytest.fixture
def name(tmp_path: Path) -> str:
    """Return the name of a socket."""
    return str(tmp_path / "notify")


@pytest.fixture
def supervisor(name: str) -> Iterator[Supervisor]:
    """Return a supervisor that listens at the name."""
    found = Supervisor(name)
    yield found
    found.socket.close()


def test_a_service_tells_its_life(name: str, supervisor: Supervisor) -> None:
    """Ready, a status and the end are one message each, with a status in one line."""
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("Listening on\n127.0.0.1:4000")
    notifier.status("busy")
    notifier.stopping("closing")
    assert supervisor.hear() == ["READY=1", "STATUS=Listening on 127.0.0.1:4000"]
    assert supervisor.hear() == ["STATUS=busy"]
    assert supervisor.hear() == ["STOPPING=1", "STATUS=closing"]
    assert supervisor.has_heard_all()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no files")
def test_a_name_with_an_at_sign_is_abstract() -> None:
    """A socket's name that begins with @ is one of the abstract namespace."""
    name = f"@kvs-test-{os.getpid()}"
    abstract = Supervisor(b"\0" + name[1:].encode())
    try:
        Notifier({"NOTIFY_SOCKET": name}).ready("up")
        assert abstract.hear()[0] == "READY=1"
    finally:
        abstract.socket.close()


def test_without_a_supervisor_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody asked to be told, nobody is told, and no watchdog runs, whatever else the environment says."""
    monkeypatch.chdir(tmp_path)
    asked: list[bool] = []

    def is_alive() -> bool:
        asked.append(True)
        return True

    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "1000"}):
        notifier = Notifier(environment, is_alive)
        notifier.ready("up")
        assert notifier._ticker is None
        notifier.stopping("down")
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_supervisor_that_is_gone_or_deaf_holds_nobody_up(name: str, supervisor: Supervisor) -> None:
    """Neither a socket that nobody reads nor one that is gone stops the service, or makes it wait."""
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(2_000):  # far more than the socket holds
        notifier.status("busy")
    assert supervisor.hear() == ["STATUS=busy"]
    supervisor.socket.close()
    notifier.status("alone")
    os.unlink(name)
    notifier.stopping("alone")


def test_the_watchdog_is_told_in_time(name: str, supervisor: Supervisor) -> None:
    """From READY=1 until STOPPING=1 the watchdog hears over and over that the service lives, and not afterwards."""
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())})
    assert supervisor.has_heard_all()
    threads = threading.active_count()
    notifier.ready("up")
    assert supervisor.hear()[0] == "READY=1"
    assert [supervisor.hear() for _ in range(3)] == [["WATCHDOG=1"]] * 3
    notifier.stopping("down")
    while (said := supervisor.hear()) == ["WATCHDOG=1"]:
        pass
    assert said[0] == "STOPPING=1"
    assert supervisor.has_heard_all()
    assert threading.active_count() == threads, "nobody is left who would tell it more"


def test_the_watchdog_hears_twice_in_its_time(name: str) -> None:
    """WATCHDOG_USEC is in microseconds, and the watchdog is told at half of it."""
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"})
    assert notifier._pause_s == 15.0


def test_a_dead_service_is_not_called_alive(name: str, supervisor: Supervisor) -> None:
    """While the service does not answer, the watchdog hears nothing; when it answers again, it does."""
    answers = iter([True, False, False, True])
    notifier = Notifier({"NOTIFY_SOCKET": name}, lambda: next(answers))
    for is_heard in (True, False, False, True):
        notifier.say_alive()
        if is_heard:
            assert supervisor.hear() == ["WATCHDOG=1"]
        assert supervisor.has_heard_all()


@pytest.mark.parametrize("microseconds", ["", "0", "-1", "soon", "1.5", "+5"])
def test_a_watchdog_that_makes_no_sense_is_none(name: str, microseconds: str) -> None:
    """A watchdog's time that is no number above zero is passed over."""
    assert Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": microseconds})._pause_s is None


def test_another_process_s_watchdog_is_not_ours(name: str) -> None:
    """A watchdog that waits for another process is not told about this one."""
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getppid())}
    assert Notifier(environment)._pause_s is None
