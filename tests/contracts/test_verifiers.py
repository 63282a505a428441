"""What every verifier promises."""

import numpy as np
import pytest

from pipeline.messages import Candidate
from pipeline.protocols import Enrolled, Verifier
from pipeline.registry import build, known
from pipeline.settings import choose
from tests.pictures import BLUE, RED, person
from tests.tracklets import tracklet

CODEC = build("codec", choose("opencv"), None, "codec")
VECTOR = np.array([1, 0], np.float32)


@pytest.fixture(params=known("verifier"))
def verifier(request, tmp_path):
    return build("verifier", choose(request.param), tmp_path, "verifier")


def pair(name: str, distance: float, rank: int) -> tuple[Candidate, Enrolled]:
    picture = CODEC.encode(person(shirt=BLUE if rank % 2 else RED))
    return Candidate(name, rank, distance, rank), Enrolled(name, rank, picture, VECTOR)


def words(name: str, distance: float, rank: int) -> tuple[Candidate, Enrolled]:
    """Somebody enrolled by a text."""
    candidate = Candidate(name, rank, distance, rank, allowance=0.7)
    return candidate, Enrolled(name, rank, None, VECTOR, "a person in a red coat")


QUESTIONS = [
    (tracklet(1), [pair("p1", 0.2, 1), pair("p2", 0.5, 2), pair("p3", 0.9, 3)]),
    (tracklet(2), []),
    (tracklet(3), [pair("p2", 0.4, 1), words("p4", 0.45, 2)]),
    (tracklet(4), [words("p4", 0.3, 1)]),
]


def test_it_is_a_verifier(verifier) -> None:
    assert isinstance(verifier, Verifier)


def test_every_candidate_is_judged_once_nearest_first(verifier) -> None:
    answers = verifier.verify(QUESTIONS)
    assert len(answers) == len(QUESTIONS)
    for (_, pairs), verdicts in zip(QUESTIONS, answers, strict=True):
        judged = [verdict.candidate for verdict in verdicts]
        assert sorted(judged, key=lambda candidate: candidate.rank) == [candidate for candidate, _ in pairs]
        assert [verdict.rank for verdict in verdicts] == list(range(1, len(pairs) + 1))
        assert sorted(verdict.fused for verdict in verdicts) == [verdict.fused for verdict in verdicts]


def test_its_numbers_keep_their_ranges(verifier) -> None:
    for verdicts in verifier.verify(QUESTIONS):
        for verdict in verdicts:
            assert 0 <= verdict.fused <= 2
            assert verdict.p_no is None or 0 <= verdict.p_no <= 1
            assert verdict.p_no_swapped is None or 0 <= verdict.p_no_swapped <= 1


def test_company_changes_nothing(verifier) -> None:
    alone = [verifier.verify([question])[0] for question in QUESTIONS]
    assert verifier.verify(QUESTIONS) == alone


def test_no_question_no_answer(verifier) -> None:
    assert verifier.verify([]) == []
