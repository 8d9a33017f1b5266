"""Pairs of keys and values as rows of a file, in three formats; any bytes survive the way there and back."""
