"""How well a ranking finds the images of the same person; query and gallery mean what they mean in the papers.

For one query let r_1 < ... < r_M be the places (from 1) of its M matches in the gallery, what is left out not
counted, equal distances ordered by index. Then

    AP  = 1/M * sum over m of m / r_m        mAP  = mean over queries that have a match
    INP = M / r_M                            mINP = mean of INP
    CMC(k) = share of these queries with r_1 <= k
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError
from pipeline.rerank import checks

JUNK = -1
LeftOut = Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]
"""Which gallery rows of the query's own identity do not count, for query number i."""


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Scores in [0, 1]; nan where no query has a match.

    Attributes:
        mAP: Mean average precision.
        mINP: Mean inverse negative penalty.
        cmc: (max_rank,) cumulative matching characteristic; `cmc[0]` is Rank-1.
        ap: (Q,) average precision, nan where a query has no match.
        inp: (Q,) the same for the inverse negative penalty.
        first: (Q,) place of the first match, 0 = none.
    """

    mAP: float  # noqa: N815 - the name everybody uses
    mINP: float  # noqa: N815
    cmc: NDArray[np.float64]
    ap: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: NDArray[np.int64]

    @classmethod
    def of(
        cls, ap: NDArray[np.float64], inp: NDArray[np.float64], first: NDArray[np.int64], max_rank: int
    ) -> "RetrievalScores":
        """Averages over the queries that have a match."""
        counted = first > 0
        n = int(counted.sum())
        reached = np.bincount(first[counted], minlength=max_rank + 1)[1 : max_rank + 1]
        cmc = np.cumsum(reached) / n if n else np.full(max_rank, np.nan)
        mean_ap, mean_inp = (float(v[counted].mean()) if n else float("nan") for v in (ap, inp))
        return cls(mean_ap, mean_inp, cmc, ap, inp, first)

    @classmethod
    def joined(cls, parts: Sequence["RetrievalScores"]) -> "RetrievalScores":
        """The scores of all queries from those of blocks of them."""
        ap, inp = np.concatenate([p.ap for p in parts]), np.concatenate([p.inp for p in parts])
        return cls.of(ap, inp, np.concatenate([p.first for p in parts]), len(parts[0].cmc))


def retrieval_scores(
    distances: Any,
    query_ids: Any,
    gallery_ids: Any,
    query_cameras: Any,
    gallery_cameras: Any,
    max_rank: int = 50,
) -> RetrievalScores:
    """Market-1501 rule: the query's identity in the query's camera, and identity -1, are left out.

    Args:
        distances: (Q, G), smaller = nearer.
        query_ids: (Q,) whole numbers.
        gallery_ids: (G,) whole numbers; -1 = junk.
        query_cameras: (Q,) whole numbers.
        gallery_cameras: (G,) whole numbers.
        max_rank: Length of the CMC.

    Raises:
        InputError: Shapes that do not fit, or a distance that is not a number.

    Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015; mINP: Ye et al., Deep Learning
        for Person Re-identification: A Survey and Outlook, 2020.
    """
    table = distance_table(distances)
    cameras = checks.labels("query cameras", query_cameras, len(table))
    seen_by = checks.labels("gallery cameras", gallery_cameras, table.shape[1])
    return ranked(table, query_ids, gallery_ids, max_rank, lambda i, rows: seen_by[rows] == cameras[i])


def all_camera_scores(
    distances: Any, query_ids: Any, gallery_ids: Any, max_rank: int = 50
) -> RetrievalScores:
    """Every image of the query's identity counts, whatever its camera; also text-to-image retrieval (Rank-k).

    Arguments and errors as for `retrieval_scores`.
    """
    return ranked(distance_table(distances), query_ids, gallery_ids, max_rank)


def clothes_scores(
    distances: Any,
    query_ids: Any,
    gallery_ids: Any,
    query_cameras: Any,
    gallery_cameras: Any,
    query_clothes: Any,
    gallery_clothes: Any,
    setting: str = "general",
    max_rank: int = 50,
) -> RetrievalScores:
    """The settings of clothes-changing sets; clothes numbers are compared within an identity only.

    Args:
        distances: As for `retrieval_scores`, like the next four.
        query_ids: (Q,).
        gallery_ids: (G,).
        query_cameras: (Q,).
        gallery_cameras: (G,).
        query_clothes: (Q,) whole numbers.
        gallery_clothes: (G,) whole numbers.
        setting: "general" = Market rule; "changing" = images in the query's clothes are left out too; "same" =
            images in other clothes are left out too.
        max_rank: Length of the CMC.

    Raises:
        InputError: Shapes that do not fit.
        ConfigError: An unknown setting.

    Source: Qian et al., Long-Term Cloth-Changing Person Re-identification (LTCC), ACCV 2020.
    """
    if setting not in ("general", "changing", "same"):
        raise ConfigError(f"setting {setting!r} is not known", "use general, changing or same")
    table = distance_table(distances)
    cameras = checks.labels("query cameras", query_cameras, len(table))
    seen_by = checks.labels("gallery cameras", gallery_cameras, table.shape[1])
    wears = checks.labels("query clothes", query_clothes, len(table))
    worn = checks.labels("gallery clothes", gallery_clothes, table.shape[1])

    def left_out(i: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        out: NDArray[np.bool_] = seen_by[rows] == cameras[i]
        if setting != "general":
            out |= (worn[rows] == wears[i]) == (setting == "changing")
        return out

    return ranked(table, query_ids, gallery_ids, max_rank, left_out)


def ranked(
    table: NDArray[np.float32],
    query_ids: Any,
    gallery_ids: Any,
    max_rank: int,
    left_out: LeftOut | None = None,
) -> RetrievalScores:
    """Scores under any rule of what is left out; identity -1 always is."""
    checks.at_least(1, max_rank=max_rank)
    wanted = checks.labels("query ids", query_ids, len(table))
    ids = checks.labels("gallery ids", gallery_ids, table.shape[1])
    order = np.argsort(ids, kind="stable")
    starts = np.searchsorted(ids[order], wanted, "left")
    stops = np.searchsorted(ids[order], wanted, "right")
    junk = np.flatnonzero(ids == JUNK)
    ap = np.full(len(table), np.nan)
    inp = np.full(len(table), np.nan)
    first = np.zeros(len(table), np.int64)
    for i, row in enumerate(table):
        own = order[starts[i] : stops[i]] if wanted[i] != JUNK else order[:0]
        out = left_out(i, own) if left_out else np.zeros(len(own), np.bool_)
        matches = own[~out]
        if not len(matches):
            continue
        places = places_of(matches, row, np.concatenate([own[out], junk]))
        ap[i] = np.mean(np.arange(1, len(places) + 1) / places)
        inp[i] = len(places) / places[-1]
        first[i] = places[0]
    return RetrievalScores.of(ap, inp, first, max_rank)


def places_of(
    matches: NDArray[np.int64], row: NDArray[np.float32], left_out: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Places from 1 of the matches, ascending, among the columns of `row` that are not left out."""
    if len(left_out):
        row = row.copy()
        row[left_out] = np.inf
    ascending, near = np.sort(row), row[matches]
    places = np.searchsorted(ascending, near, "left") + 1
    for m in np.flatnonzero(np.searchsorted(ascending, near, "right") > places):
        places[m] += np.count_nonzero(row[: matches[m]] == near[m])
    return np.sort(places)


def distance_table(distances: Any) -> NDArray[np.float32]:
    """(Q, G) finite floats, as given where they are floats.

    Raises:
        InputError: Another shape, an empty side, or a distance that is not a number.
    """
    table = np.asarray(distances)
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(f"distances have shape {table.shape}, expected (queries, gallery), neither empty")
    if table.dtype not in (np.float32, np.float64):
        table = checks.matrix("distances", table, (None, None))
    bad = ~np.isfinite(table)
    if bad.any():
        query, image = np.argwhere(bad)[0]
        raise InputError(f"the distance of query {query} to gallery image {image} is not a number")
    return table
