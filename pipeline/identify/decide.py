"""When a verdict becomes a hit: the cut, the margin and the cool-down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.messages import Verdict


@dataclass(frozen=True, slots=True)
class Accepted:
    """The verdict that passed, and its lead over the next identity (None when nobody else is enrolled)."""

    verdict: Verdict
    lead: float | None


def accept(verdicts: Sequence[Verdict], max_distance: float, margin: float, enrolled: int) -> Accepted | None:
    """The nearest verdict, when it is within the cut and leads the next identity by the margin.

    Args:
        verdicts: Of different identities, nearest first.
        max_distance: The cut, in [0, 2].
        margin: Least lead over the next identity; counts only when two or more identities are enrolled.
        enrolled: Number of identities on the watchlist.
    """
    if not verdicts or verdicts[0].fused > max_distance:
        return None
    if enrolled < 2:
        return Accepted(verdicts[0], None)
    lead = verdicts[1].fused - verdicts[0].fused if len(verdicts) > 1 else None
    if lead is not None and lead < margin:
        return None
    return Accepted(verdicts[0], lead)


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

    def start(self, identity_id: str, stream_id: str, at: datetime) -> None:
        """A hit was opened."""
        expired = [
            key for key, since in self._since.items() if key[1] == stream_id and at >= since + self._length
        ]
        for key in expired:
            del self._since[key]
        self._since[identity_id, stream_id] = at
