"""Watches: which connections want to know that a key was changed, for WATCH and EXEC."""

import threading
from typing import Protocol


class Watcher(Protocol):
    """Somebody who watches keys."""

    watched: set[bytes]
    """The keys, kept by Watches alone."""
    is_dirty: bool
    """One of them was changed since; set by Watches, cleared by the watcher."""


class Watches:
    """Who watches which key.

    Threads: any. The lock guards the mapping and the watchers' sets of keys. `is_any` is read without it, for the sake
    of the many writes while nobody watches: whoever begins to watch a key during such a write reads its value later,
    and so sees the change itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: dict[bytes, set[Watcher]] = {}
        self.is_any = False

    def watch(self, watcher: Watcher, key: bytes) -> None:
        """Tell the watcher from now on when the key is changed."""
        with self._lock:
            self.is_any = True
            watcher.watched.add(key)
            self._watchers.setdefault(key, set()).add(watcher)

    def forget(self, watcher: Watcher) -> None:
        """Tell the watcher nothing any more."""
        with self._lock:
            for key in watcher.watched:
                others = self._watchers[key]
                others.discard(watcher)
                if not others:
                    del self._watchers[key]
            watcher.watched.clear()
            self.is_any = bool(self._watchers)

    def touch(self, key: bytes) -> None:
        """A key was changed: its watchers are dirty now."""
        with self._lock:
            for watcher in self._watchers.get(key, ()):
                watcher.is_dirty = True
