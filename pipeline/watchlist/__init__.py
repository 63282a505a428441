"""The watchlist: who is looked for, kept in one SQLite file and read as immutable snapshots."""
