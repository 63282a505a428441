"""Measures: pure functions on arrays and small records, each with its formula."""

from trainers.metrics.retrieval import RetrievalScores, all_camera_scores, clothes_scores, retrieval_scores

__all__ = ["RetrievalScores", "all_camera_scores", "clothes_scores", "retrieval_scores"]
