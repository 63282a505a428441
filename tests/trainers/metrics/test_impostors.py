"""The cut of a watchlist of any size, and the likelihood of a distance, where the truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from trainers.metrics.impostors import (
    MOST_ROWS,
    SIZES,
    ImpostorModel,
    Searches,
    cut_bands,
    likelihood,
    many_pictures,
    pareto_beyond,
    pareto_shape,
)

ASKED = 0.01


def impostors(distances: NDArray[np.float64], identities: NDArray[np.int64] | None = None) -> Searches:
    """Searches of strangers, each of somebody else."""
    seen, rows = distances.shape
    nowhere = np.zeros(distances.shape, np.bool_)
    return Searches(
        distances, nowhere, ~nowhere, np.arange(seen), np.arange(rows) if identities is None else identities
    )


def people(seed: int, count: int, pictures: int = 1) -> NDArray[np.float32]:
    """(count, pictures, 24) unit vectors; people come in kinds that look alike."""
    rng = np.random.default_rng(seed)
    kinds = 0.7 * np.random.default_rng(0).standard_normal((10, 24))
    centres = kinds[rng.integers(0, 10, count)] + rng.standard_normal((count, 24))
    seen = centres[:, None] + 0.4 * rng.standard_normal((count, pictures, 24))
    return (seen / np.linalg.norm(seen, axis=-1, keepdims=True)).astype(np.float32)


def distances(seen: NDArray[np.float32], enrolled: NDArray[np.float32]) -> NDArray[np.float64]:
    """(S, N) to the nearest of the pictures of each; (S, D), (N, K, D)."""
    squared = 2 - 2 * np.einsum("sd,nkd->snk", seen, enrolled, optimize=True)
    nearest: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0)).min(axis=2)
    return nearest


@pytest.mark.parametrize(("shape", "scale"), [(-0.3, 0.5), (0.0, 0.2), (0.2, 1.0)])
def test_the_tail_of_a_known_distribution(shape: float, scale: float) -> None:
    uniform = np.random.default_rng(1).random(20_000)
    drawn = -scale * np.log(uniform) if shape == 0 else scale * (uniform**-shape - 1) / shape
    assert pareto_shape(drawn) == pytest.approx(shape, abs=0.03)
    x = np.quantile(drawn, [0.5, 0.9, 0.99])
    np.testing.assert_allclose(pareto_beyond(x, scale, shape), [0.5, 0.1, 0.01], rtol=0.15)


def test_of_independent_power_laws_the_cut_is_what_algebra_says() -> None:
    # F(t) = (t / 2)^8, so (1 - F)^n = 0.99 at t = 2 (1 - 0.99^(1/n))^(1/8)
    drawn = 2 * np.random.default_rng(2).random((300, 300)) ** (1 / 8)
    sizes = np.array(SIZES[:9])
    expected = 2 * (1 - (1 - ASKED) ** (1 / sizes)) ** (1 / 8)
    np.testing.assert_allclose(ImpostorModel.fit(impostors(drawn)).cuts(ASKED, sizes), expected, rtol=0.12)


def test_some_who_lie_near_to_all_do_not_make_the_cut_stricter_than_asked() -> None:
    # A tenth of the strangers lie nearer to everybody: what they raise is one false alarm each, not one a picture.
    rng = np.random.default_rng(3)
    near = np.where(np.arange(500) % 10 == 0, 0.5, 1.0)
    drawn = near[:, None] * 1.2 * rng.random((500, 400)) ** (1 / 12)
    cut = ImpostorModel.fit(impostors(drawn[:, :200])).cuts(0.09, [200.0])[0]
    measured = (drawn[:, 200:].min(axis=1) <= cut).mean()
    assert 0.06 < measured < 0.12
    alike = 1 - (1 - (drawn <= cut).mean()) ** 200
    assert alike > 1.8 * measured, "as if all comparisons were independent"


@pytest.mark.parametrize("pictures", [1, 4])
@pytest.mark.parametrize("enrolled", [10, 100, 2000])
def test_the_rate_asked_for_holds_for_few_and_for_many_enrolled(enrolled: int, pictures: int) -> None:
    known = people(4, 250, 3)
    rows = known.reshape(-1, 1, 24)
    searches = impostors(distances(people(5, 300)[:, 0], rows), np.repeat(np.arange(250), 3))
    compared = enrolled * pictures ** many_pictures(searches)
    cut = ImpostorModel.fit(searches).cuts(ASKED, [compared])[0]
    lists = 2000 // enrolled
    nearest = distances(people(6, 1000)[:, 0], people(7, lists * enrolled, pictures))
    measured = (nearest.reshape(1000, lists, enrolled).min(axis=2) <= cut).mean()
    assert ASKED / 4 < measured < ASKED * 2.5


def test_the_band_holds_the_cut_and_narrows_with_more_people() -> None:
    wide, narrow = (
        cut_bands(impostors(distances(people(8, n)[:, 0], people(9, n))), ASKED) for n in (40, 160)
    )
    for cut, low, high in (wide, narrow):
        assert (low <= cut).all()
        assert (cut <= high).all()
        assert (np.diff(cut) <= 0).all()
    assert (narrow[2] - narrow[1])[:7].sum() < (wide[2] - wide[1])[:7].sum()


@pytest.mark.parametrize(("alike", "many"), [(True, 0.0), (False, 1.0)])
def test_pictures_count_as_one_person_where_they_are_equal_and_as_many_where_they_are_not(
    alike: bool, many: float
) -> None:
    drawn = np.random.default_rng(10).random((200, 60))
    rows = np.repeat(drawn[:, :20], 3, axis=1) if alike else drawn
    searches = impostors(rows, np.repeat(np.arange(20), 3))
    assert many_pictures(searches) == pytest.approx(many, abs=0.05)
    assert many_pictures(impostors(drawn)) == 1.0, "one picture each: nothing says otherwise"


def test_of_two_normal_distributions_the_likelihood_is_the_exact_one() -> None:
    # log N(d; 0.5, 0.1) / N(d; 1.0, 0.1) = (1.0 - 0.5) / 0.01 * (0.75 - d)
    rng = np.random.default_rng(11)
    intercept, slope = likelihood(rng.normal(0.5, 0.1, 40_000), rng.normal(1.0, 0.1, 90_000))
    assert slope == pytest.approx(-50, rel=0.05)
    assert -intercept / slope == pytest.approx(0.75, abs=0.005)


def test_pairs_that_can_be_told_apart_give_a_finite_slope() -> None:
    intercept, slope = likelihood(np.linspace(0.1, 0.2, 20), np.linspace(0.9, 1.2, 300))
    assert np.isfinite([intercept, slope]).all()
    assert slope < 0


def test_many_are_thinned_out_and_whole_people_stay_together() -> None:
    pictures = np.repeat(np.arange(600), 2)
    few = impostors(np.random.default_rng(12).random((20, 1200)), pictures).thinned()
    assert few.distances.shape == (20, MOST_ROWS)
    assert np.bincount(few.identities).max() == 2
    assert (np.bincount(few.identities) == 1).sum() <= 1


@pytest.mark.parametrize(
    ("searches", "problem"),
    [
        (impostors(np.full((9, 20), 0.5)), "9 people seen who are not the one enrolled for a picture"),
        (impostors(np.full((10, 9), 0.5)), "90 impostor pairs for a picture: at least 100"),
        (impostors(np.full((10, 10), 0.5)), "0 genuine pairs for a picture: at least 10"),
        (impostors(np.full((10, 10), np.nan)), "a distance to a picture is not in"),
        (impostors(np.full((10, 10), 2.5)), "a distance to a picture is not in"),
    ],
)
def test_too_little_is_refused(searches: Searches, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        searches.check("picture")


def test_genuine_pairs_that_are_not_nearer_are_refused() -> None:
    same = np.eye(20, dtype=np.bool_)
    searches = Searches(np.where(same, 1.0, 0.5), same, ~same, np.arange(20), np.arange(20))
    with pytest.raises(InputError, match="not nearer than impostors"):
        searches.check("picture")
