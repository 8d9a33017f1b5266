"""The benchmark: the store beside the stores that one would pick instead, in one run, round by round."""
