"""The proof of the store: a disk in memory that can lose power at any instant, and those who try it out."""
