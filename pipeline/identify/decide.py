"""When a verdict becomes a hit: the cut, the margin and the cool-down."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.identify.calibration import Cuts
from pipeline.messages import Verdict


@dataclass(frozen=True, slots=True)
class Accepted:
    """The verdict that passed.

    Attributes:
        verdict: With its place.
        lead: Over the next identity; None when nobody else is enrolled.
        max_distance: The cut that it passed.
        probability: That it is right; None without a calibration that says so.
    """

    verdict: Verdict
    lead: float | None
    max_distance: float
    probability: float | None = None

    @property
    def excess(self) -> float:
        """What it is compared by; see `Cuts`."""
        return self.verdict.fused - self.max_distance


def accept(
    verdicts: Sequence[Verdict], cuts: Cuts, margin: float, enrolled: int, share: float = 1.0
) -> Accepted | None:
    """The nearest verdict, when it is within its cut and leads the next identity by the margin.

    Args:
        verdicts: Of different identities, in any order; equally near ones are ranked as the shortlist has them.
        cuts: Where a hit begins.
        margin: Least lead over the next identity; counts only when two or more identities are enrolled.
        enrolled: Number of identities on the watchlist.
        share: Of the cut, that it must be within, in [0, 1].
    """
    if not verdicts:
        return None
    nearest, *others = sorted(verdicts, key=lambda verdict: (cuts.excess(verdict), verdict.candidate.rank))
    cut = cuts.of(nearest.candidate, judged=nearest.judged)
    lead = None
    if others and enrolled >= 2:
        next_cut = cuts.of(others[0].candidate, judged=others[0].judged)
        lead = (others[0].fused - nearest.fused) - (next_cut - cut)
    if nearest.fused > share * cut or (lead is not None and lead < margin):
        return None
    return Accepted(replace(nearest, rank=1), lead, cut, cuts.probability(nearest))


class CoolDown:
    """Keeps one identity from being reported again and again by one stream.

    State: one time per (identity, stream), forgotten once it has run out.
    """

    def __init__(self, cooldown_s: float) -> None:
        self._length = timedelta(seconds=cooldown_s)
        self._since: dict[tuple[str, str], datetime] = {}

    def allows(self, identity_id: str, stream_id: str, at: datetime) -> bool:
        """Whether a new hit may be opened at that time."""
        since = self._since.get((identity_id, stream_id))
        return since is None or not (since <= at < since + self._length)

    def lift(self, identity_id: str, stream_id: str) -> None:
        """A hit was taken back."""
        self._since.pop((identity_id, stream_id), None)

    def start(self, identity_id: str, stream_id: str, at: datetime) -> None:
        """A hit was opened."""
        expired = [
            key for key, since in self._since.items() if key[1] == stream_id and at >= since + self._length
        ]
        for key in expired:
            del self._since[key]
        self._since[identity_id, stream_id] = at
