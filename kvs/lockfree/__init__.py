"""Reading without a lock, and the two kinds of lock that it is to be held against."""
