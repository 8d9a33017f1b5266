"""Every exception that kvs raises: whose doing it was, and what to do about it.

    KvsError
    ├── KeyNotFoundError (also a KeyError)     the caller: no such key
    ├── StoreClosedError                       the caller: used after close()
    ├── InvalidKeyError (also a ValueError)    the caller: a key beyond its limit
    ├── InvalidValueError (also a ValueError)  the caller: a value or a batch beyond its limit
    ├── StorageError                           the disk, or what was found on it
    │   ├── StoreMissingError                  no store there, and none was to be made
    │   ├── StoreLockedError                   another process owns the directory
    │   ├── WrongEngineError                   the directory belongs to another engine
    │   ├── UnsupportedFormatError             written by a version that this one cannot read
    │   ├── CorruptRecordError                 bytes that were known durable are wrong
    │   └── WritesRefusedError                 this handle may not write (any more)
    ├── PoolClosedError (also a RuntimeError)  the caller: a job for a pool that was shut down
    ├── DisconnectedError                      no answer from the server: not there, gone, or silent
    ├── ProtocolError                          the other side of a connection broke the protocol
    └── RemoteError                            the server answered with an error

A wrong *type* of key or value is a plain TypeError, as everywhere in Python.
"""

from typing import Literal


class KvsError(Exception):
    """The root of all errors of this package; catch it to catch them all."""


class KeyNotFoundError(KvsError, KeyError):
    """No value is stored under this key. The caller's to handle, as with any mapping.

    Args:
        key: the key that was asked for.
    """

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"Key not found: {self.key!r}"


class StoreClosedError(KvsError):
    """The engine was used after close(). The caller's mistake: open it again."""

    def __init__(self, message: str = "the store is closed") -> None:
        super().__init__(message)


class InvalidKeyError(KvsError, ValueError):
    """The key is larger than a record can hold. The message names limit and size."""


class InvalidValueError(KvsError, ValueError):
    """The value, or the batch, is larger than the store takes. The message names limit and size."""


class StorageError(KvsError):
    """The operating system refused, or what is on the disk cannot be used.

    An OSError becomes this at the disk seam; it is kept as `__cause__`.
    """

    @property
    def errno(self) -> int | None:
        """The operating system's error number, where one is behind this error."""
        return self.__cause__.errno if isinstance(self.__cause__, OSError) else None


class StoreMissingError(StorageError):
    """There is no store in this directory and the flag ("r" or "w") forbids making one."""


class StoreLockedError(StorageError):
    """Another process, or another handle in this one, has the directory open.

    Nothing needs cleaning: the lock goes with its owner, however that ends.

    Args:
        path: the directory.
        pid: the owner's process id, or None where it cannot be told.
    """

    def __init__(self, path: str, pid: int | None) -> None:
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{path} is in use by {owner}")
        self.path = path
        self.pid = pid


class WrongEngineError(StorageError):
    """The directory was made by another engine. Open it with that engine; nothing was touched.

    Args:
        path: the directory.
        found: the engine that the directory names.
        wanted: the engine that was to open it.
    """

    def __init__(self, path: str, *, found: str, wanted: str) -> None:
        super().__init__(f"{path} belongs to engine {found!r}, not {wanted!r}")
        self.path = path
        self.found = found
        self.wanted = wanted


class UnsupportedFormatError(StorageError):
    """Written by a newer kvs, whose format this one cannot read. Upgrade; nothing was touched."""


class CorruptRecordError(StorageError):
    """Rot: bytes that were known to be durable do not check out.

    No value is made from them. `kvs check` finds every such place, `kvs repair` salvages the rest.

    Args:
        path: the file.
        offset: where the bad bytes begin, in bytes from the start of the file.
        expected: what should stand there.
        found: what does.
    """

    def __init__(self, path: str, offset: int, *, expected: str, found: str) -> None:
        super().__init__(f"{path} is damaged at offset {offset}: expected {expected}, found {found}")
        self.path = path
        self.offset = offset
        self.expected = expected
        self.found = found


class WritesRefusedError(StorageError):
    """This handle may not write: it is read-only, a forked copy, or an fsync failed under it.

    After a failed fsync the kernel may drop the pages and call the next fsync a success, so going on
    would be a lie. Reads go on; reopen the store to write again.
    """


class PoolClosedError(KvsError, RuntimeError):
    """A job came after the pool's shutdown; it will not run. The caller's: stop spawning, or shut down later."""

    def __init__(self, message: str = "the pool is shut down") -> None:
        super().__init__(message)


class DisconnectedError(KvsError):
    """No answer from the server: it cannot be reached, went away in mid-command, or is silent for too long.

    The server's doing, or the network's. Trying again is right for a read. For a write ask `is_in_doubt` first: it may
    have been applied although nobody heard so, and trying again would apply it twice.

    Args:
        address: the server's.
        reason: what happened, in words.
        cause: which of the three it was: "unreachable", "gone" or "silent".
        is_in_doubt: whether a write was on its way, that may or may not have been applied.
    """

    def __init__(
        self, address: str, reason: str, cause: Literal["unreachable", "gone", "silent"], *, is_in_doubt: bool = False
    ) -> None:
        begin = "cannot reach " if cause == "unreachable" else ""
        doubt = "; what was being written may or may not have been applied" if is_in_doubt else ""
        super().__init__(f"{begin}{address}: {reason}{doubt}")
        self.address = address
        self.reason = reason
        self.cause = cause
        self.is_in_doubt = is_in_doubt


class ProtocolError(KvsError):
    """The other side of a connection sent what the protocol does not allow."""


class RemoteError(KvsError):
    """The server answered with an error; the message is the server's, its code included.

    >>> RemoteError("NOAUTH Authentication required.").code
    'NOAUTH'
    """

    @property
    def code(self) -> str:
        """The word by which errors are told apart: the message's first where that is in capitals, else "ERR"."""
        first = str(self).partition(" ")[0]
        return first if first.isascii() and first.isalpha() and first.isupper() else "ERR"
