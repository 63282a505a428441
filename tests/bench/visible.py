"""Since when a person is visible in a clip: at least half of it, so tall that it could be found, by the labels."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trainers.metrics.alerts import Appearance

LEAST_PX, LEAST_VISIBLE = 40, 0.5  # of a person who counts as visible
SLACK_S = 0.01

Moments = Mapping[int, list[float]]


def visible_moments(labels: Path, time_of: Callable[[int], float]) -> Moments:
    """When each number of a file of MOT text is visible, in seconds, ascending; nobody where there is no file.

    Args:
        labels: With or without the column of visibility; without it everybody is.
        time_of: When the picture of a number, from 1, is shown.
    """
    moments: dict[int, list[float]] = {}
    for line in labels.read_text(encoding="utf-8").splitlines() if labels.is_file() else ():
        frame, number, _, _, _, height, conf, *more = map(float, line.split(","))
        if conf and height >= LEAST_PX and (more[1] if len(more) > 1 else 1.0) >= LEAST_VISIBLE:
            moments.setdefault(int(number), []).append(time_of(int(frame)))
    return {number: sorted(shown) for number, shown in moments.items()}


def visible_from(stay: Appearance, number: int, moments: Moments) -> float | None:
    """The first visible moment of an appearance, in seconds; None where there is none."""
    own = (at_s for at_s in moments.get(number, ()) if stay.start_s - SLACK_S <= at_s <= stay.end_s)
    return next(own, None)
