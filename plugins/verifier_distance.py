"""The plain distance as verdict: today's decision, and what a verifier falls back to."""

from collections.abc import Sequence

from pipeline.messages import Candidate, Tracklet, Verdict
from pipeline.protocols import Enrolled
from pipeline.settings import Settings


class DistanceVerifier:
    """Repeats the shortlist's Euclidean distance as the fused one; has no opinion (`p_no` is None)."""

    needs_pictures = False

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def verify(
        self, questions: Sequence[tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]]
    ) -> list[list[Verdict]]:
        """For each tracklet its verdicts, nearest first; equal distances keep the shortlist's order."""
        return [_by_distance([candidate for candidate, _ in pairs]) for _, pairs in questions]


def _by_distance(candidates: list[Candidate]) -> list[Verdict]:
    nearest_first = sorted(candidates, key=lambda candidate: (candidate.distance, candidate.rank))
    return [
        Verdict(candidate=candidate, fused=candidate.distance, rank=rank)
        for rank, candidate in enumerate(nearest_first, start=1)
    ]
