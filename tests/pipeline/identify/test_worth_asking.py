"""A verifier is asked only where its answer could lead to a hit, and the hits are those of one that is always asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.identify.calibration import Cuts
from pipeline.messages import Candidate, EndReason, Hit, TrackKey, Tracklet, Verdict
from tests.pipeline.identify.test_stage import BLUE, RED, World

ALPHA = 0.4
GREEN = (0, 220, 0)
FIRST, SECOND = TrackKey("door", "e1", 1), TrackKey("door", "e1", 2)


class Fusing:
    """Gives every pair a p_no that depends on who is asked about and on the question's number."""

    needs_pictures = False
    fuses = True

    def __init__(self, p_no: float | None = None, *, says_alpha: bool = True) -> None:
        self.alpha = ALPHA if says_alpha else None
        self.asked: list[tuple[int, int]] = []
        self._p_no = p_no

    def verify(self, questions: Sequence[Any]) -> list[list[Verdict]]:
        self.asked += [(item.key.track_id, item.number) for item, _ in questions]
        return [[self._verdict(item, candidate) for candidate, _ in pairs] for item, pairs in questions]

    def _verdict(self, item: Tracklet, candidate: Candidate) -> Verdict:
        seed = [item.number, item.key.track_id, *candidate.identity_id.encode()]
        p_no = self._p_no if self._p_no is not None else float(np.random.default_rng(seed).random())
        return Verdict(candidate, (1 - ALPHA) * candidate.distance + ALPHA * 2 * p_no, p_no)


def world(folder: Path, verifier: Fusing) -> World:
    made = World(folder, verifier)
    for name, colour in (("anna", RED), ("luca", BLUE), ("nina", GREEN)):
        made.enrol(name, colour)
    made.refresh()
    return made


def test_who_lies_beyond_all_cuts_is_not_asked_about(tmp_path: Path) -> None:
    verifier = Fusing(0.0)
    here = world(tmp_path, verifier)
    assert list(here.stage.on_batch([here.sight((200, 200, 220)), here.sight(RED, key=SECOND)]))
    assert verifier.asked == [(2, 1)]


def test_a_cool_down_is_not_asked_about_and_an_open_hit_is(tmp_path: Path) -> None:
    verifier = Fusing(0.0)
    here = world(tmp_path, verifier)
    for item in (
        here.sight(RED, 1, key=FIRST),
        here.sight(RED, 2, key=FIRST, decided_pts_s=4.0),
        here.sight(RED, 1, key=SECOND, decided_pts_s=9.0),
        here.sight(RED, 2, key=SECOND, decided_pts_s=33.0),
    ):
        list(here.stage.on_batch([item]))
    assert verifier.asked == [(1, 1), (1, 2), (2, 2)]


def test_the_least_excess_is_that_of_a_certain_yes_or_of_no_word_at_all() -> None:
    cuts = Cuts(0.5, texts=1.2, fused=0.4)
    picture, text = Candidate("anna", 1, 0.45, 1), Candidate("luca", 2, 1.3, 2, is_text=True)
    assert cuts.least_excess(picture, ALPHA) == pytest.approx(0.6 * 0.45 - 0.4)
    assert cuts.least_excess(text, ALPHA) == pytest.approx(0.6 * 1.3 - 1.2)
    assert Cuts(0.5, fused=0.1).least_excess(picture, ALPHA) == pytest.approx(-0.05), "if it says nothing"


@pytest.mark.parametrize("seed", range(8))
def test_the_hits_are_those_of_one_that_is_always_asked(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    saving, asking = Fusing(), Fusing(says_alpha=False)
    worlds = [world(tmp_path / name, verifier) for name, verifier in (("a", saving), ("b", asking))]
    numbers = dict.fromkeys(range(1, 5), 0)
    found: list[list[Hit]] = [[], []]
    for step in range(40):
        batch = []
        for track_id in rng.choice(list(numbers), 2, replace=False):
            numbers[track_id] += 1
            base = (RED, BLUE, GREEN)[rng.integers(3)]
            colour = tuple(int(min(220, value + rng.integers(0, 60))) for value in base)
            more = {
                "key": TrackKey("door", "e1", int(track_id)),
                "best_pts_s": 3.0 * step,
                "decided_pts_s": 3.0 * step + 1,
                "end": EndReason.TRACK_ENDED if rng.random() < 0.2 else None,
            }
            batch.append((colour, numbers[track_id], more))
        for i, here in enumerate(worlds):
            found[i] += here.stage.on_batch([here.sight(*each[:2], **each[2]) for each in batch])
    assert found[0] == found[1]
    assert found[0]
    assert len(saving.asked) < len(asking.asked)
