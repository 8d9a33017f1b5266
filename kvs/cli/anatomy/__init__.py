"""The bytes of data files, taken apart for people: what each is, and whether it still counts."""
