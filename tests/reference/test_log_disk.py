"""OsDisk: the seam keeps its contract on the real operating system, and its errors name deed, path and cause."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from limits import file_size_limit, no_rights

from kvs.errors import StorageError, StoreLockedError, StoreMissingError
from kvs.log import disk as disk_room
from kvs.log.disk import Lock, OsDisk


def owned(disk: OsDisk, *, exclusive: bool = True, in_child: Callable[[], None] = lambda: None) -> Lock:
    """Return the lock of a directory."""
    lock = disk.lock(exclusive=exclusive, in_child=in_child)
    assert lock is not None
    return lock


def test_a_file_is_its_bytes(tmp_path: Path) -> None:
    """A file begins as zeros of its size; bytes stored are in the file at once, and after grow and truncate still."""
    disk = OsDisk(tmp_path)
    file = disk.create("a.data", 100)
    assert file.memory[:] == bytes(100)
    file.memory[10:15] = b"hello"
    assert (tmp_path / "a.data").read_bytes()[10:15] == b"hello"
    early = file.memory
    file.grow(200)
    assert (len(file.memory), file.memory[10:15]) == (200, b"hello")
    file.memory[150:155] = b"later"
    file.truncate(152)
    assert (tmp_path / "a.data").read_bytes() == bytes(10) + b"hello" + bytes(135) + b"la"
    assert early[10:15] == b"hello"
    file.sync()
    file.close()
    file.close()
    assert file.memory[10:15] == b"hello"


def test_created_over_another_it_is_empty(tmp_path: Path) -> None:
    """Creating a file replaces one of that name; nothing of the old one shines through."""
    disk = OsDisk(tmp_path)
    disk.write("a.data", [b"old " * 100], sync=False)
    assert disk.create("a.data", 50).memory[:] == bytes(50)


def test_empty_files_are_read(tmp_path: Path) -> None:
    """A file of no bytes can be opened and cut to nothing, though nothing of it can be mapped."""
    disk = OsDisk(tmp_path)
    disk.write("a", [], sync=True)
    assert len(disk.open("a", writable=False).memory) == 0
    file = disk.create("b", 10)
    file.truncate(0)
    assert (tmp_path / "b").read_bytes() == b""
    assert len(file.memory) == 0


def test_opened_to_read_it_cannot_be_written(tmp_path: Path) -> None:
    """A file that was opened to read refuses stores."""
    disk = OsDisk(tmp_path)
    disk.write("a", [b"abc"], sync=False)
    with pytest.raises(TypeError):
        disk.open("a", writable=False).memory[0:1] = b"x"
    assert disk.read("a") == b"abc"


def test_names_change_as_told(tmp_path: Path) -> None:
    """write, rename and unlink do what they say, a replaced file is gone, and list names what is there."""
    disk = OsDisk(tmp_path)
    disk.write("a", [b"1", b"", b"2" * 3], sync=True)
    disk.write("b", [b"old"], sync=False)
    disk.rename("a", "b")
    disk.write("c", [b""], sync=False)
    disk.unlink("c")
    disk.sync_dir()
    assert (disk.list(), disk.read("b")) == (["b"], b"1222")


def test_files_are_private(tmp_path: Path) -> None:
    """Directories are made 0700 and files 0600: what is stored is nobody else's business."""
    disk = OsDisk(tmp_path / "store")
    before = os.umask(0)
    try:
        assert not disk.exists()
        disk.make()
        disk.make()
        disk.create("a", 1)
        disk.write("b", [b""], sync=False)
        owned(disk).release()
    finally:
        os.umask(before)
    assert disk.exists()
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "store").iterdir()} == {0o600}


def test_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """When there is no room, grow raises and the file keeps its size; create raises and leaves no file."""
    disk = OsDisk(tmp_path)
    file = disk.create("a", 4_096)
    file.memory[:3] = b"abc"
    with file_size_limit(8_192):
        with pytest.raises(StorageError, match=r"cannot grow .*/a: ") as caught:
            file.grow(1 << 20)
        with pytest.raises(StorageError):
            disk.create("b", 1 << 20)
        with pytest.raises(StorageError, match=r"cannot write .*/c: "):
            disk.write("c", [bytes(1 << 20)], sync=False)
    assert caught.value.errno == errno.EFBIG
    assert isinstance(caught.value.__cause__, OSError)
    assert (tmp_path / "a").stat().st_size == len(file.memory) == 4_096
    assert file.memory[:3] == b"abc"
    assert not (tmp_path / "b").exists()
    file.grow(1 << 20)
    assert len(file.memory) == 1 << 20


@pytest.mark.parametrize("how", ["no such call", "not on this file system"])
def test_room_is_allocated_by_writing_where_there_is_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Where the system has no call to allocate room, or the file system none, zeros are written; an error stays one."""
    if how == "no such call":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse_with(errno.EOPNOTSUPP))
    disk = OsDisk(tmp_path)
    file = disk.create("a", 100)
    file.memory[:3] = b"abc"
    file.grow(3 << 20)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 3 << 20
    assert file.memory[:] == b"abc" + bytes((3 << 20) - 3)
    with file_size_limit((5 << 20) + 100), pytest.raises(StorageError):
        file.grow(8 << 20)
    assert (tmp_path / "a").stat().st_size == 3 << 20
    monkeypatch.setattr(os, "write", refuse_with(errno.ENOSPC))
    with pytest.raises(StorageError, match="No space left"):
        file.grow(8 << 20)
    assert (tmp_path / "a").stat().st_size == len(file.memory) == 3 << 20


def refuse_with(number: int) -> Callable[..., None]:
    """Return a system call that always fails with this error number."""

    def call(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes three bytes at a time gets them all in the end."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    disk = OsDisk(tmp_path)
    disk.write("a", [b"abcdefgh", b"ij"], sync=False)
    assert (tmp_path / "a").read_bytes() == b"abcdefghij"


@pytest.mark.parametrize("system", ["like Linux", "like macOS", "neither"])
def test_sync_uses_the_strongest_call_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """Fdatasync where there is one; on macOS F_FULLFSYNC, for fsync alone stops at the drive's cache; else fsync."""
    calls: list[str] = []
    if system == "like Linux":
        monkeypatch.setattr(os, "fdatasync", lambda _fd: calls.append("fdatasync"), raising=False)
    else:
        monkeypatch.delattr(os, "fdatasync", raising=False)
    if system == "like macOS":
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", lambda _fd, command: calls.append(f"fcntl {command}"))
    else:
        monkeypatch.delattr(fcntl, "F_FULLFSYNC", raising=False)
    monkeypatch.setattr(os, "fsync", lambda _fd: calls.append("fsync"))
    disk_room._sync(OsDisk(tmp_path).create("a", 1)._fd)
    assert calls == [{"like Linux": "fdatasync", "like macOS": "fcntl 51", "neither": "fsync"}[system]]


@pytest.mark.parametrize("deed", ["open", "read", "rename", "unlink", "list", "sync"])
def test_what_is_not_there_is_missing(tmp_path: Path, deed: str) -> None:
    """Every deed on a name that is not there raises StoreMissingError with the path, and the OSError as its cause."""
    disk, nowhere = OsDisk(tmp_path), OsDisk(tmp_path / "nowhere")
    calls: dict[str, Callable[[], object]] = {
        "open": lambda: disk.open("x", writable=True),
        "read": lambda: disk.read("x"),
        "rename": lambda: disk.rename("x", "y"),
        "unlink": lambda: disk.unlink("x"),
        "list": nowhere.list,
        "sync": nowhere.sync_dir,
    }
    with pytest.raises(StoreMissingError, match=rf"cannot {deed} {tmp_path}/.*No such file") as caught:
        calls[deed]()
    assert caught.value.errno == errno.ENOENT


def test_a_file_in_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    """A path that is a file is a StorageError, whatever is asked of it."""
    (tmp_path / "file").write_bytes(b"")
    disk = OsDisk(tmp_path / "file")
    for call in (disk.make, disk.list, lambda: disk.lock(exclusive=True, in_child=lambda: None)):
        with pytest.raises(StorageError):
            call()
    assert StorageError("no cause").errno is None


def test_owner_excludes_all_and_readers_exclude_owners(tmp_path: Path) -> None:
    """One owner alone, or any number of readers; who is refused learns the owner's process id."""
    disk = OsDisk(tmp_path)
    owner = owned(disk)
    for exclusive in (True, False):
        with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()}") as caught:
            disk.lock(exclusive=exclusive, in_child=lambda: None)
        assert caught.value.pid == os.getpid()
        assert caught.value.path == str(tmp_path)
    owner.release()
    owner.release()
    readers = [owned(disk, exclusive=False) for _ in range(3)]
    with pytest.raises(StoreLockedError):
        disk.lock(exclusive=True, in_child=lambda: None)
    for reader in readers:
        reader.release()
    owned(disk).release()


def test_refused_by_a_reader_nobody_is_named(tmp_path: Path) -> None:
    """A reader writes no process id, and an owner that has gone is not named in its place."""
    disk = OsDisk(tmp_path)
    owned(disk).release()
    reader = owned(disk, exclusive=False)
    with pytest.raises(StoreLockedError, match="in use by another process") as caught:
        disk.lock(exclusive=True, in_child=lambda: None)
    assert caught.value.pid is None
    reader.release()


def test_forgotten_lock_goes_with_its_object(tmp_path: Path) -> None:
    """A lock that is dropped and not released is free again."""
    disk = OsDisk(tmp_path)
    lock = owned(disk)
    del lock
    owned(disk).release()


def test_failed_lock_lets_go(tmp_path: Path) -> None:
    """A lock that cannot be completed, for the disk is full, is given up again."""
    disk = OsDisk(tmp_path)
    with file_size_limit(0), pytest.raises(StorageError, match="cannot lock"):
        disk.lock(exclusive=True, in_child=lambda: None)
    owned(disk).release()


def test_without_rights_a_reader_needs_no_lock(tmp_path: Path) -> None:
    """Who may not write in the directory may read without a lock; to own it is refused."""
    disk = OsDisk(tmp_path)
    with no_rights(tmp_path):
        disk.lock(exclusive=False, in_child=lambda: None).release()
        with pytest.raises(StorageError, match=r"cannot lock .*: Permission denied"):
            disk.lock(exclusive=True, in_child=lambda: None)
    (tmp_path / "LOCK").mkdir()
    with pytest.raises(StorageError, match="cannot lock"):
        disk.lock(exclusive=False, in_child=lambda: None)


FORKED: Final = """
import os, sys
from functools import partial
from kvs.errors import StoreLockedError
from kvs.log.disk import OsDisk

disk, other = OsDisk(sys.argv[1]), OsDisk(sys.argv[1] + "/other")
read_end, write_end = os.pipe()
lock = disk.lock(exclusive=True, in_child=partial(os.write, write_end, b"told "))
other.make()
other.lock(exclusive=True, in_child=partial(os.write, write_end, b"wrong ")).release()
child = os.fork()
if child == 0:
    os.write(write_end, b"free" if lock._fd == -1 else b"held")
    os._exit(0)
os.waitpid(child, 0)
print(os.read(read_end, 100).decode())
try:
    disk.lock(exclusive=True, in_child=lambda: None)
except StoreLockedError:
    print("still locked")
"""


def test_forked_child_is_told_and_holds_nothing(tmp_path: Path) -> None:
    """In a forked child the engine is told, the lock is let go, and the parent's stays.

    In a process of its own: a fork beside threads, which other tests may have left to end, would prove nothing.
    """
    command = [sys.executable, "-c", FORKED, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.split("\n") == ["told free", "still locked", ""]


def test_salts_differ_and_time_goes_on(tmp_path: Path) -> None:
    """Salts are 32 random bits each; the clock is the wall's."""
    disk = OsDisk(tmp_path)
    salts = {disk.random_salt() for _ in range(50)}
    assert len(salts) == 50
    assert max(salts) < 1 << 32
    assert disk.now() > 1_700_000_000


def test_directory_that_somebody_else_makes_just_now_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process makes the directory between the look and the making, that is as good as having made it."""
    real = os.mkdir

    def raced(path: str, mode: int) -> None:
        real(path, mode)
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", raced)
    OsDisk(tmp_path / "new" / "store").make()
    assert (tmp_path / "new" / "store").is_dir()


def test_lock_does_not_keep_whom_it_would_tell_of_a_fork(tmp_path: Path) -> None:
    """A lock tells its engine of a fork as long as there is one, and does not keep it alive for that."""

    class Owner:
        """Counts what it is told."""

        told = 0

        def tell(self) -> None:
            """Count."""
            Owner.told += 1

    owner = Owner()
    disk = OsDisk(tmp_path)
    disk.lock(exclusive=True, in_child=owner.tell).leave_to_parent()
    assert Owner.told == 1
    lock = disk.lock(exclusive=True, in_child=owner.tell)
    gone = weakref.ref(owner)
    del owner
    assert gone() is None
    lock.leave_to_parent()
    assert Owner.told == 1


def test_lock_that_was_given_up_tells_nobody_of_a_fork(tmp_path: Path) -> None:
    """A lock that was released before a fork is nothing to a child."""
    told: list[str] = []
    lock = OsDisk(tmp_path).lock(exclusive=True, in_child=lambda: told.append("fork"))
    lock.release()
    lock.leave_to_parent()
    assert told == []


def test_a_relative_path_is_meant_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its directory goes on with the store that it opened, not with one elsewhere."""
    monkeypatch.chdir(tmp_path)
    disk = OsDisk("store")
    disk.make()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    disk.write("file", [b"bytes"], sync=True)
    assert (tmp_path / "store" / "file").read_bytes() == b"bytes"
    assert disk.list() == ["file"]
