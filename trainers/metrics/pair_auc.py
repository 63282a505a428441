"""How well a score tells pairs of one person from pairs of two."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


def pair_auc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Share of (genuine, impostor) couples whose genuine pair is nearer; equal ones count half.

    >>> pair_auc([0.1, 0.4], [0.3, 0.4])
    0.625

    Args:
        genuine: (n,) distances of pairs of one person.
        impostor: (m,) distances of pairs of two.

    Returns:
        In [0, 1], 0.5 = chance; nan where there is none of one kind.

    Source: Mann and Whitney, On a Test of Whether one of Two Random Variables is Stochastically Larger than the
        Other, 1947.
    """
    near, far = np.asarray(genuine, np.float64), np.asarray(impostor, np.float64)
    if not near.size or not far.size:
        return float("nan")
    ranks = rankdata(np.concatenate([far, near]))[: len(far)]
    return float((ranks.sum() - len(far) * (len(far) + 1) / 2) / (len(near) * len(far)))
