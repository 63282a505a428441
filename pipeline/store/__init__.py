"""What outlives the process, on disk."""
