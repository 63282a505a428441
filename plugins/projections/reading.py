"""What the projections read of a hit's event."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

STATES = ("opened", "updated", "closed", "retracted")
"""Those that the forms of others have words for; reviews, and tests of the sinks, they have not."""


def hit_in(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The hit of an event; None of an event that is none, or in another state than `STATES`."""
    if not str(event["type"]).startswith("musewatch.hit."):
        return None
    hit: Mapping[str, Any] = event["data"]
    return hit if hit["state"] in STATES else None


def moment_of(hit: Mapping[str, Any], pts_s: float) -> datetime:
    """The wall clock at a time of the hit's stream, reckoned from that of its best picture."""
    return datetime.fromisoformat(hit["captured_at"]) + timedelta(seconds=pts_s - hit["best"]["pts_s"])


def probability_of(hit: Mapping[str, Any]) -> float | None:
    """How likely the hit is right, in [0, 1]; None without a calibration."""
    value = hit["decision"]["probability"]
    return None if value is None else float(value)


def score_of(hit: Mapping[str, Any]) -> float:
    """For forms that must have a number: the probability, else 1 - distance / 2, in [0, 1] and larger = surer.

    The second ranks hits; it is no probability.
    """
    probability, decision = probability_of(hit), hit["decision"]
    if probability is not None:
        return probability
    distance = decision["distance"] if decision["fused"] is None else decision["fused"]
    return float(round(min(1.0, max(0.0, 1.0 - distance / 2)), 6))


def name_of(hit: Mapping[str, Any]) -> str:
    """Who it is, in words: the name, else the id."""
    return str(hit["identity"]["name"] or hit["identity"]["id"])
