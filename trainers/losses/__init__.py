"""Losses on unit rows, one a file; where several domains are mixed, each is held against its own domain only."""
