"""Measures of people found: pure functions on arrays and small records."""
