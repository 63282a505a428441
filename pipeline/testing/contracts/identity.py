"""What everything promises that says who somebody is: nearest rows, and a second opinion."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.messages import Candidate, TrackKey, Tracklet
from pipeline.protocols import Enrolled, Index, Verifier
from pipeline.testing.contracts.wanted import wanted
from pipeline.testing.drawing import BLUE, RED, person
from pipeline.testing.fakes import FakeCodec, tracklet

HALF_ROUNDING = 0.02  # of a distance near 0, from the rounding of float16 rows; much less elsewhere

Encode = Callable[[NDArray[np.uint8]], bytes]
Question = tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]


def unit(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Vectors of length 1 in any direction."""
    vectors = rng.normal(size=shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float32)


def all_distances(queries: NDArray[np.float32], rows: NDArray[np.float16]) -> NDArray[np.float64]:
    """(Q, N) Euclidean, by brute force."""
    apart = queries[:, None].astype(np.float64) - rows[None].astype(np.float64)
    distances: NDArray[np.float64] = np.sqrt((apart**2).sum(axis=2))
    return distances


class IndexContract:
    """Give `index`; it is held against a sort of all distances in float64."""

    @pytest.fixture
    def index(self) -> Any:
        """The one under test, empty."""
        wanted("index")

    def test_it_is_an_index(self, index: Any) -> None:
        """All methods are there."""
        assert isinstance(index, Index)

    @pytest.mark.parametrize(
        ("rows", "dimension", "k"), [(1, 4, 1), (7, 256, 7), (300, 64, 10), (9001, 16, 40)]
    )
    def test_finds_the_nearest_rows_in_order(self, index: Any, rows: int, dimension: int, k: int) -> None:
        """As the brute force does."""
        rng = np.random.default_rng(rows)
        stored, queries = unit(rng, rows, dimension).astype(np.float16), unit(rng, 5, dimension)
        index.build(stored)
        distances, found = index.search(queries, k)

        assert (distances.shape, found.shape) == ((5, k), (5, k))
        assert (distances.dtype, found.dtype) == (np.float32, np.int64)
        assert (np.diff(distances, axis=1) >= 0).all()
        assert all(len(set(line)) == k for line in found.tolist())
        truth = all_distances(queries, stored)
        np.testing.assert_allclose(distances, np.sort(truth, axis=1)[:, :k], atol=HALF_ROUNDING)
        np.testing.assert_allclose(np.take_along_axis(truth, found, axis=1), distances, atol=HALF_ROUNDING)

    def test_k_is_cut_to_the_number_of_rows(self, index: Any) -> None:
        """More cannot be found."""
        rng = np.random.default_rng(0)
        index.build(unit(rng, 3, 8).astype(np.float16))
        distances, found = index.search(unit(rng, 2, 8), 40)
        assert distances.shape == (2, 3)
        assert [sorted(line) for line in found.tolist()] == [[0, 1, 2]] * 2

    def test_nothing_is_found_in_an_empty_index(self, index: Any) -> None:
        """Before the first rows, and after none."""
        queries = unit(np.random.default_rng(0), 2, 8)
        assert index.search(queries, 5)[0].shape == (2, 0)
        index.build(np.zeros((0, 8), np.float16))
        assert index.search(queries, 5)[1].shape == (2, 0)

    def test_no_query_no_answer(self, index: Any) -> None:
        """An empty batch is no error."""
        index.build(unit(np.random.default_rng(0), 3, 8).astype(np.float16))
        assert index.search(np.zeros((0, 8), np.float32), 2)[0].shape == (0, 2)

    def test_building_again_replaces_every_row(self, index: Any) -> None:
        """Also by rows of another length."""
        rng = np.random.default_rng(0)
        first, second = unit(rng, 5, 8), unit(rng, 2, 6)
        index.build(first.astype(np.float16))
        index.build(second.astype(np.float16))
        distances, found = index.search(second, 5)
        assert found[:, 0].tolist() == [0, 1]
        assert distances[:, 0].max() < HALF_ROUNDING

    def test_opposite_vectors_are_two_apart(self, index: Any) -> None:
        """The scale of the distances."""
        north = np.zeros((1, 8), np.float32)
        north[0, 0] = 1
        index.build(np.vstack([north, -north]).astype(np.float16))
        distances, found = index.search(north, 2)
        assert found.tolist() == [[0, 1]]
        assert distances.tolist() == [[0, 2]]

    def test_what_was_built_from_may_change_afterwards(self, index: Any) -> None:
        """It keeps a copy."""
        rows = unit(np.random.default_rng(0), 4, 8).astype(np.float16)
        index.build(rows)
        asked = rows.astype(np.float32)
        rows[:] = 0
        assert index.search(asked, 1)[1][:, 0].tolist() == [0, 1, 2, 3]


class VerifierContract:
    """Give `verifier`; `encode` where it opens the pictures."""

    @pytest.fixture
    def verifier(self) -> Any:
        """The one under test."""
        wanted("verifier")

    @pytest.fixture
    def encode(self) -> Encode:
        """How enrolled pictures become bytes: a codec's `encode`."""
        return FakeCodec().encode

    @pytest.fixture
    def questions(self, encode: Encode) -> list[Question]:
        """Four tracklets: of pictures, of nobody, of pictures and words, of words alone."""

        def picture(name: str, distance: float, rank: int) -> tuple[Candidate, Enrolled]:
            data = encode(person(shirt=BLUE if rank % 2 else RED))
            return Candidate(name, rank, distance, rank), Enrolled(name, rank, data, vector)

        def words(name: str, distance: float, rank: int) -> tuple[Candidate, Enrolled]:
            enrolled = Enrolled(name, rank, None, vector, "a person in a red coat")
            return Candidate(name, rank, distance, rank, is_text=True), enrolled

        vector = np.array([1, 0], np.float32)
        asked = [tracklet(TrackKey("door", "e", number)) for number in range(1, 5)]
        return [
            (asked[0], [picture("p1", 0.2, 1), picture("p2", 0.5, 2), picture("p3", 0.9, 3)]),
            (asked[1], []),
            (asked[2], [picture("p2", 0.4, 1), words("p4", 0.45, 2)]),
            (asked[3], [words("p4", 0.3, 1)]),
        ]

    def test_it_is_a_verifier(self, verifier: Any) -> None:
        """All methods are there."""
        assert isinstance(verifier, Verifier)

    def test_every_candidate_is_judged_once_nearest_first(
        self, verifier: Any, questions: list[Question]
    ) -> None:
        """Ranks count from 1, and `fused` grows with them."""
        answers = verifier.verify(questions)
        assert len(answers) == len(questions)
        for (_, pairs), verdicts in zip(questions, answers, strict=True):
            judged = [verdict.candidate for verdict in verdicts]
            in_order = sorted(judged, key=lambda candidate: candidate.rank)
            assert in_order == [candidate for candidate, _ in pairs]
            assert [verdict.rank for verdict in verdicts] == list(range(1, len(pairs) + 1))
            assert sorted(verdict.fused for verdict in verdicts) == [verdict.fused for verdict in verdicts]

    def test_its_numbers_keep_their_ranges(self, verifier: Any, questions: list[Question]) -> None:
        """Distances in [0, 2], probabilities in [0, 1]."""
        for verdicts in verifier.verify(questions):
            for verdict in verdicts:
                assert 0 <= verdict.fused <= 2
                assert verdict.p_no is None or 0 <= verdict.p_no <= 1
                assert verdict.p_no_swapped is None or 0 <= verdict.p_no_swapped <= 1

    def test_one_that_remembers_forgets_and_says_the_same_again(
        self, verifier: Any, questions: list[Question]
    ) -> None:
        """Somebody who leaves the watchlist leaves the verifier, which loses no ability by that."""
        if not getattr(verifier, "remembers", False):
            return
        before = verifier.verify(questions)
        verifier.forget()
        for first, again in zip(before, verifier.verify(questions), strict=True):
            fused = [verdict.fused for verdict in first]
            assert [verdict.fused for verdict in again] == pytest.approx(fused, abs=1e-4)

    def test_company_changes_nothing(self, verifier: Any, questions: list[Question]) -> None:
        """A question's answer does not depend on the others of its batch."""
        alone = [verifier.verify([question])[0] for question in questions]
        assert verifier.verify(questions) == alone

    def test_no_question_no_answer(self, verifier: Any) -> None:
        """An empty batch is no error."""
        assert verifier.verify([]) == []
