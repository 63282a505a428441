"""Where a hit begins, for each kind of verdict: the one quantity by which verdicts and hits are compared."""

from dataclasses import dataclass

from pipeline.messages import Candidate, HitDecision, Verdict


@dataclass(frozen=True, slots=True)
class Cuts:
    """Largest distances of a hit, in [0, 2]; each kind of distance has its own.

    The words for a person lie farther from their pictures than these from each other, and what a verifier fuses lies
    elsewhere than a plain distance. So distances of different kinds are compared by their excess over their cut: at
    most 0 is a hit, less is nearer.

    Attributes:
        pictures: Of the plain distance to an enrolled picture.
        texts: To an enrolled text, plain or fused; None = nobody is compared with texts.
        fused: Of what a verifier fuses for a picture; None = as `pictures`.
    """

    pictures: float
    texts: float | None = None
    fused: float | None = None

    def of(self, candidate: Candidate, *, judged: bool = False) -> float:
        """The cut of a candidate's distance, or of what was fused when it was judged."""
        if candidate.is_text and self.texts is not None:
            return self.texts
        return self.fused if judged and self.fused is not None else self.pictures

    def excess(self, verdict: Verdict) -> float:
        """What a verdict is compared by: its `fused` less its cut."""
        return verdict.fused - self.of(verdict.candidate, judged=verdict.judged)


def excess_of(decision: HitDecision) -> float:
    """What a hit is compared by: the verdict's excess that it was decided by."""
    decided_by = decision.distance if decision.fused is None else decision.fused
    return decided_by - decision.max_distance
