"""The PID file: one process at a time, whatever an earlier one left behind, and nothing of anybody else's touched."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.child import start_program
from support.target import Target

from kvs.errors import KvsError
from kvs.net.pidfile import MAX_BYTES, PidFile

OWNER = """
import sys
from kvs.net.pidfile import PidFile
held = PidFile(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
held.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the name of a PID file that is not there yet."""
    return tmp_path / "kvs.pid"


def in_fork(job: Callable[[], object]) -> int:
    """Run a job in a forked child and return its exit code: 0 when it returned."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_names_the_process_and_goes_with_it(path: Path) -> None:
    """The file holds the process id and a line feed while it is held, and is gone afterwards; twice is fine."""
    with PidFile(str(path)) as held:
        assert path.read_bytes() == b"%d\n" % os.getpid()
        assert path.stat().st_mode & 0o133 == 0, "others may read it, and nobody but us may write it"
    assert not path.exists()
    held.release()


def test_a_live_owner_is_refused_by_name(path: Path, target: Target) -> None:
    """While one process holds the file another is refused, told which process it is, and leaves the file as it was."""
    with start_program(target, OWNER, path) as owner:
        assert owner.read_line() == b"held"
        for _ in range(2):
            with pytest.raises(KvsError, match=f"^already running as process {owner.pid} "):
                PidFile(str(path))
        assert path.read_bytes() == b"%d\n" % owner.pid
        owner.write(b"\n")
        assert owner.read_line() == b"released"
        assert not path.exists()
        PidFile(str(path)).release()  # although that process still lives


def test_a_killed_owner_hinders_nobody(path: Path, target: Target) -> None:
    """What a killed process left behind is taken over."""
    with start_program(target, OWNER, path) as owner:
        assert owner.read_line() == b"held"
        owner.kill()
    assert path.read_bytes() == b"%d\n" % owner.pid
    with PidFile(str(path)):
        assert path.read_bytes() == b"%d\n" % os.getpid()


@pytest.mark.parametrize(
    "left",
    [b"", b"\n", b"garbage", b"12 34\n", b"-1\n", b"\xff\x00" * 100, b"9" * 40, b"0\n", b"x" * MAX_BYTES],
    ids=["empty", "blank", "letters", "two", "negative", "binary", "huge", "zero", "long"],
)
def test_garbage_is_cleaned(path: Path, left: bytes) -> None:
    """Whatever the file holds, when nobody has its lock it is ours, and holds our number alone."""
    path.write_bytes(left)
    with PidFile(str(path)):
        assert path.read_bytes() == b"%d\n" % os.getpid()
    assert not path.exists()


def test_a_recycled_number_is_no_owner(path: Path) -> None:
    """The number of a process that lives, and that has nothing to do with us, hinders nobody: the lock decides."""
    for pid in (os.getppid(), 1, os.getpid()):
        path.write_bytes(b"%d\n" % pid)
        with PidFile(str(path)):
            assert path.read_bytes() == b"%d\n" % os.getpid()


def test_a_locked_file_without_a_number_has_an_owner(path: Path) -> None:
    """Between taking the lock and writing its number an owner is an owner, too; it just has no name yet."""
    with path.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(KvsError, match=r"^already running as another process "):
            PidFile(str(path))


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Through a symbolic link nothing is written, made or removed, and the message says why."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"4711\n")
    for aim in (precious, tmp_path / "nowhere"):
        path.symlink_to(aim)
        with pytest.raises(KvsError, match="symbolic link"):
            PidFile(str(path))
        assert path.is_symlink()
        path.unlink()
    assert precious.read_bytes() == b"4711\n"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_pid_file_is_left_alone(path: Path) -> None:
    """A directory, a pipe, a second name of a file and a large file are refused at once, and stay as they were."""
    large = b"somebody's work\n" * MAX_BYTES
    path.write_bytes(large)
    with pytest.raises(KvsError, match="not a PID file"):
        PidFile(str(path))
    assert path.read_bytes() == large

    path.write_bytes(b"4711\n")
    path.with_name("other").hardlink_to(path)
    with pytest.raises(KvsError, match="another name"):
        PidFile(str(path))
    assert path.read_bytes() == b"4711\n"

    path.unlink()
    os.mkfifo(path)
    with pytest.raises(KvsError, match="not a regular file"):
        PidFile(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        PidFile(str(path))


def test_a_refusal_keeps_no_descriptor(path: Path) -> None:
    """A refused opening lets go of everything it had opened."""
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        with pytest.raises(KvsError):
            PidFile(str(path))
    with path.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for _ in range(20):
            with pytest.raises(KvsError):
                PidFile(str(path))
    assert len(os.listdir("/dev/fd")) == before


def test_another_file_of_the_name_is_not_removed(path: Path) -> None:
    """When the file was replaced meanwhile, the new one is somebody else's and stays."""
    held = PidFile(str(path))
    path.unlink()
    path.write_bytes(b"1\n")
    held.release()
    assert path.read_bytes() == b"1\n"


def test_a_removed_file_frees_the_name(path: Path) -> None:
    """When somebody has removed the file, letting go is no error."""
    held = PidFile(str(path))
    path.unlink()
    held.release()
    assert not path.exists()


def test_a_change_of_directory_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is removed is the one that was made, wherever the process is by then."""
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with PidFile("kvs.pid"):
        monkeypatch.chdir(other)
    assert not (tmp_path / "kvs.pid").exists()


def test_a_forked_child_neither_holds_nor_removes_it(path: Path) -> None:
    """A fork of the owner removes nothing by its end, and does not keep the lock when the owner is gone."""
    with PidFile(str(path)) as held:
        assert in_fork(held.release) == 0
        assert path.exists()
        with pytest.raises(KvsError, match=f"process {os.getpid()} "):
            PidFile(str(path))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # a child that outlives the owner's hold
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
    try:
        path.write_bytes(b"%d\n" % os.getpid())  # the same name again, and the child is still there
        PidFile(str(path)).release()
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_program_started_by_the_owner_does_not_hold_it(path: Path) -> None:
    """A program that the owner starts does not inherit the lock."""
    held = PidFile(str(path))
    program = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n", "it has begun, so it has let go of what it is not to inherit"
        os.close(held._fd)  # as the owner's death would
        held._fd = -1
        PidFile(str(path)).release()
        assert child.poll() is None
        child.communicate(b"\n", timeout=15)


def test_of_many_at_once_one_gets_it(path: Path) -> None:
    """Processes that come and go at the same name, two hundred times: never two that hold it at once."""
    inside = path.with_name("inside")

    def come_and_go() -> None:
        taken = 0
        while taken < 25:
            try:
                held = PidFile(str(path))
            except KvsError:
                continue
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where another is inside
            os.unlink(inside)
            held.release()
            taken += 1

    pids = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(30)
                come_and_go()
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 8
