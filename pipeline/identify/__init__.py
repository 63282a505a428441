"""From tracklets to hits: shortlist, verify, decide, show."""
