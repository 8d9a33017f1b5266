"""What a disk holds: the bytes and names that are durable, and the changes to them that are not yet.

    durable + pending changes = what the page cache shows

A process that dies loses none of it. A power failure loses some pending changes, any of them, in any order: that is
what the disk's contract leaves open, and `images` makes each such outcome.

Steps, which are also what a recording holds:

    ("create", name, inode)          a new, empty file; a file that has the name already is emptied
    ("resize", inode, size)          grow with zeros, or cut
    ("store", inode, offset, data)   into mapped memory
    ("append", inode, data)          write(2) at the end
    ("sync", inode)                  the file's bytes and size are durable now
    ("rename", old, new)  ("unlink", name)  ("sync_dir",)
    ("mark", kind, number)           no change: what the workload knew at this point; see `play`
"""

from typing import Any, Final, TypeAlias

Step: TypeAlias = tuple[Any, ...]
Names: TypeAlias = dict[str, int]
MARK: Final = "mark"


class Inode:
    """One file's bytes: `durable`, what is `pending` since, and both together as everybody sees them `now`.

    Pending changes are ("resize", size) and ("store", offset, data).
    """

    __slots__ = ("durable", "now", "pending")

    def __init__(self, data: bytes = b"") -> None:
        self.durable: bytes = data
        self.now: bytes | bytearray = data
        self.pending: list[Step] = []

    def change(self, change: Step) -> None:
        """Make a change that nothing has made durable."""
        if isinstance(self.now, bytes):
            self.now = bytearray(self.now)
        self.pending.append(change)
        apply_change(self.now, change)

    def sync(self) -> None:
        """Make what is pending durable. What an fsync that failed let go of is not pending any more."""
        self.durable = self.with_changes(self.pending)
        self.pending.clear()

    def lose_pending_bytes(self) -> None:
        """Take bytes for durable that are not, as a kernel does after an fsync that failed; sizes stay pending."""
        self.pending = [change for change in self.pending if change[0] == "resize"]

    def with_changes(self, changes: list[Step]) -> bytes:
        """Return the durable bytes with these changes made."""
        if not changes:
            return self.durable
        data = bytearray(self.durable)
        for change in changes:
            apply_change(data, change)
        return bytes(data)

    def clone(self) -> "Inode":
        """Return a copy that goes its own way."""
        other = Inode(self.durable)
        other.now, other.pending = bytes(self.now), [*self.pending]
        return other


class DiskState:
    """One directory with its files, in the page cache and on the disk itself."""

    def __init__(self, image: dict[str, bytes] | None = None) -> None:
        self.inodes: dict[int, Inode] = {}
        self.names: Names = {}
        for name, data in (image or {}).items():
            self.names[name] = len(self.inodes)
            self.inodes[len(self.inodes)] = Inode(data)
        self.durable_names: Names = dict(self.names)
        self.pending_names: list[Step] = []

    def clone(self) -> "DiskState":
        """Return a copy that goes its own way."""
        other = DiskState()
        other.inodes = {number: inode.clone() for number, inode in self.inodes.items()}
        other.names, other.durable_names = dict(self.names), dict(self.durable_names)
        other.pending_names = [*self.pending_names]
        return other

    def apply(self, step: Step) -> None:
        """Take one step."""
        match step:
            case ("store", inode, offset, data):
                self.inodes[inode].change(("store", offset, data))
            case ("sync", inode):
                self.inodes[inode].sync()
            case ("sync_dir",):
                self.sync_names()
            case ("resize", inode, size):
                self.inodes[inode].change(("resize", size))
            case ("append", inode, data):
                size = len(self.inodes[inode].now)
                self.inodes[inode].change(("resize", size + len(data)))
                self.inodes[inode].change(("store", size, data))
            case ("create", name, inode):
                self._create(name, inode)
            case ("rename", old, new):
                self._rename(("rename", old, new, self.names[old]))
            case ("unlink", name):
                self._rename(("unlink", name, "", self.names[name]))

    def sync_names(self) -> None:
        """Make what is pending of the names durable."""
        self.durable_names = with_name_changes(self.durable_names, self.pending_names)
        self.pending_names.clear()

    def _create(self, name: str, inode: int) -> None:
        if name in self.names:
            self.inodes[inode].change(("resize", 0))
        else:
            self.inodes[inode] = Inode()
            self._rename(("link", name, "", inode))

    def _rename(self, change: Step) -> None:
        self.pending_names.append(change)
        self.names = with_name_changes(self.names, [change])

    def shown(self) -> dict[str, bytes]:
        """Return the files as the page cache shows them, which is what the next process finds after a kill."""
        return {name: bytes(self.inodes[inode].now) for name, inode in self.names.items()}


def apply_change(data: bytearray, change: Step) -> None:
    """Make one change to a file's bytes; what lies behind the end is lost, and comes back as zeros."""
    if change[0] == "resize":
        size: int = change[1]
        if size < len(data):
            del data[size:]
        else:
            data.extend(bytes(size - len(data)))
    else:
        _, offset, piece = change
        piece = piece[: max(0, len(data) - offset)]
        data[offset : offset + len(piece)] = piece


def with_name_changes(names: Names, changes: list[Step]) -> Names:
    """Return the names after these changes; each holds by itself, whatever became of those before it."""
    names = dict(names)
    for kind, name, new, inode in changes:
        if kind == "link":
            names[name] = inode
            continue
        if names.get(name) == inode:
            del names[name]
        if kind == "rename":
            names[new] = inode
    return names
