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
        self._is_wanted_again = False

    def begin(self) -> None:
        """Have the pool compact the store."""
        with self._lock:
            if self._service.is_compacting:
                self._is_wanted_again = True
                return
            self._service.is_compacting = True
        try:
            self._pool.spawn(self._run)
        except RuntimeError:  # the pool is closed, or there is no thread to be had
            self._service.is_compacting = False

    def _run(self) -> None:
        """Compact, and again if that was asked for meanwhile. In a thread of the pool."""
        is_wanted = True
        while is_wanted:
            try:
                self._service.engine.compact()
                logger.info("compacted")
            except KvsError:
                logger.exception("the compaction failed; the store is as it was")
            finally:
                with self._lock:
                    is_wanted = self._is_wanted_again
                    self._is_wanted_again = False
                    self._service.is_compacting = is_wanted
