"""The log-structured store: an append-only log on disk, an index of it in memory."""
