"""Compaction of a served store: asked for by a signal or a client, run by the pool, one at a time."""

import logging
import threading

from kvs.errors import KvsError
from kvs.net.service import Service
from kvs.pool.base import ThreadPool

logger = logging.getLogger(__name__)


class Compaction:
    """Runs the engine's compaction on the pool when it is asked for.

    Threads: `begin` from the server's own thread. The lock guards the two flags: one that is asked for while another
    runs follows it, since that one may have passed what has died meanwhile.
    """

    def __init__(self, service: Service, pool: ThreadPool) -> None:
        self._service = service
        self._pool = pool
        self._lock = threading.Lock()
        self._is_running = False
        self._is_wanted_again = False

    def begin(self) -> None:
        """Have the pool compact the store."""
        with self._lock:
            if self._is_running:
                self._is_wanted_again = True
                return
            self._is_running = True
        try:
            self._pool.spawn(self._run)
        except RuntimeError:  # the pool is closed, or there is no thread to be had
            logger.warning("no thread for a compaction; ask again")
            self._is_running = False

    def _run(self) -> None:
        """Compact, and again if that was asked for meanwhile. In a thread of the pool."""
        while True:
            try:
                with self._service.compacting():
                    self._service.engine.compact()
                logger.info("compacted")
            except KvsError:
                logger.exception("the compaction failed; the store is as it was")
            with self._lock:
                if not self._is_wanted_again:
                    self._is_running = False
                    return
                self._is_wanted_again = False
