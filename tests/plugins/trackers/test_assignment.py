"""The cheapest assignment, against scipy's."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from plugins.trackers.assignment import assigned


@pytest.mark.parametrize("seed", range(60))
def test_it_costs_what_the_cheapest_costs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(0, 9))
    columns = rows + int(rng.integers(0, 4))
    kind = seed % 3
    cost = rng.normal(size=(rows, columns))
    if kind == 1:
        cost = rng.integers(0, 3, (rows, columns)).astype(float)  # many ties
    elif kind == 2:
        cost = np.where(rng.uniform(size=cost.shape) < 0.6, 1e3, cost)
    found = assigned(cost)
    assert len(set(found.tolist())) == rows
    assert cost[np.arange(rows), found].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())


@pytest.mark.parametrize("cost", [np.array([[np.nan]]), np.array([[np.inf, 0.0]]), np.zeros((2, 1))])
def test_what_cannot_be_assigned_is_refused(cost: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        assigned(cost)
