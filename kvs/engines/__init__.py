"""Engines that keep their bytes in somebody else's format. So far it is one: SQLite's."""
