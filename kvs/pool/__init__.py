"""Thread pools: who runs the jobs of a server."""
