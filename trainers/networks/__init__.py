"""Architectures of our own, one a file, named by the entry points `musewatch.network`."""
