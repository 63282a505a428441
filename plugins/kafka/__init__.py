"""Tracklets, watchlist and hits over Kafka."""
