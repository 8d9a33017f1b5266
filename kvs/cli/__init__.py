"""The command line: the store for people and for shell scripts."""
