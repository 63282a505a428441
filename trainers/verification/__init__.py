"""Tuning of verifiers: hard pairs, what is learned of them, how good it is on the embedder's shortlists."""
