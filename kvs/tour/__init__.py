"""The tour: the database at work on real data, in about a minute, each claim checked as it is made."""
