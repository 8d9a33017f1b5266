"""What the suites share: the package under test, the command line, child processes, oracles."""
