"""Rankings over one image for each identity: CUHK03's single-gallery-shot, SYSU-MM01's searches."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.rerank import checks
from trainers.metrics.retrieval import JUNK, RetrievalScores, distance_table, ranked

SYSU_INFRARED = (3, 6)
SYSU_GALLERY = {"all": (1, 2, 4, 5), "indoor": (1, 2)}


def single_shot_scores(
    distances: Any,
    query_ids: Any,
    gallery_ids: Any,
    query_cameras: Any,
    gallery_cameras: Any,
    max_rank: int = 50,
) -> RetrievalScores:
    """CUHK03: the gallery holds one random image of each identity, from cameras other than the query's.

    What others estimate from some random draws is worked out: for each image m of the query's identity, the place
    is 1 + a sum of independent yes/no, "the image drawn of identity j is nearer", of probability (images of j
    nearer than m) / (images of j). The scores are expectations over all draws; with one match AP = INP = 1 / place.
    `first` is the rounded mean place.

    Arguments and errors as for `retrieval_scores`.

    Source: Li et al., DeepReID (CUHK03), CVPR 2014, for the protocol.
    """
    table = distance_table(distances).astype(np.float64)
    wanted, cameras = checks.labels("query ids", query_ids, len(table)), np.asarray(query_cameras)
    ids = checks.labels("gallery ids", gallery_ids, table.shape[1])
    seen_by = checks.labels("gallery cameras", gallery_cameras, table.shape[1])
    reached = np.zeros(max_rank)
    ap, first = np.full(len(table), np.nan), np.zeros(len(table), np.int64)
    for i, row in enumerate(table):
        usable = np.flatnonzero((ids != JUNK) & ((ids == wanted[i]) | (seen_by != cameras[i])))
        usable = usable[~((ids[usable] == wanted[i]) & (seen_by[usable] == cameras[i]))]
        chances = _place_chances(row[usable], ids[usable], wanted[i])
        if chances is None:
            continue
        places = np.arange(1, len(chances) + 1)
        ap[i], first[i] = float((chances / places).sum()), round(float((chances * places).sum()))
        reached[: len(chances)] += chances[:max_rank]
    counted = first > 0
    cmc = np.cumsum(reached) / counted.sum() if counted.any() else np.full(max_rank, np.nan)
    mean = float(ap[counted].mean()) if counted.any() else float("nan")
    return RetrievalScores(mean, mean, cmc, ap, ap.copy(), first)


def _place_chances(
    row: NDArray[np.float64], ids: NDArray[np.int64], wanted: int
) -> NDArray[np.float64] | None:
    """Probability of each place of the identity's drawn image, or None when there is none to draw."""
    order = np.argsort(row, kind="stable")
    names, number = np.unique(ids[order], return_inverse=True)
    own = np.flatnonzero(names == wanted)
    if not len(own):
        return None
    totals = np.bincount(number)
    before = np.zeros(len(names))
    chances = np.zeros(len(names))
    for name in number:
        if name == own[0]:
            chances += _sum_of_yes(np.delete(before / totals, own)) / totals[own]
        before[name] += 1
    return chances


def _sum_of_yes(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distribution of the number of yes among independent answers, (len(p) + 1,)."""
    chances = np.zeros(len(p) + 1)
    sure = int((p == 1).sum())
    chances[sure] = 1.0
    for chance in p[(p > 0) & (p < 1)]:
        chances[1:] = chances[1:] * (1 - chance) + chances[:-1] * chance
        chances[0] *= 1 - chance
    return chances


def sysu_scores(
    distances: Any,
    query_ids: Any,
    gallery_ids: Any,
    query_cameras: Any,
    gallery_cameras: Any,
    search: str = "all",
    shots: int = 1,
    trials: int = 10,
    seed: int = 0,
    max_rank: int = 50,
) -> RetrievalScores:
    """SYSU-MM01: infrared queries (cameras 3, 6) against `shots` visible images of each identity and camera.

    The mean of `trials` draws. Cameras 2 and 3 stand at one place, so queries of 3 skip camera 2. AP is over
    images; CMC is over identities, each standing at its nearest image. Queries of other cameras do not count.

    Args:
        distances: As for `retrieval_scores`, like the next four; camera numbers as in the set.
        query_ids: (Q,).
        gallery_ids: (G,).
        query_cameras: (Q,).
        gallery_cameras: (G,).
        search: "all" = cameras 1, 2, 4, 5; "indoor" = cameras 1, 2.
        shots: Images drawn of each identity in each camera.
        trials: Draws.
        seed: Of the draws.
        max_rank: Length of the CMC.

    Raises:
        InputError: Shapes that do not fit.
        ConfigError: An unknown search.

    Source: Wu et al., RGB-Infrared Cross-Modality Person Re-identification, ICCV 2017.
    """
    if search not in SYSU_GALLERY:
        raise ConfigError(f"search {search!r} is not known", "use all or indoor")
    checks.at_least(1, shots=shots, trials=trials)
    table = distance_table(distances)
    cameras = checks.labels("query cameras", query_cameras, len(table))
    wanted = np.where(
        np.isin(cameras, SYSU_INFRARED), checks.labels("query ids", query_ids, len(table)), JUNK
    )
    ids = checks.labels("gallery ids", gallery_ids, table.shape[1])
    seen_by = checks.labels("gallery cameras", gallery_cameras, table.shape[1])
    rng = np.random.default_rng(seed)
    draws = [_drawn(ids, seen_by, SYSU_GALLERY[search], shots, rng) for _ in range(trials)]
    scores = [_one_draw(table, wanted, ids, cameras, seen_by, rows, max_rank) for rows in draws]
    ap, inp, first = (np.mean([getattr(s, name) for s in scores], axis=0) for name in ("ap", "inp", "first"))
    return RetrievalScores(
        float(np.mean([s.mAP for s in scores])),
        float(np.mean([s.mINP for s in scores])),
        np.mean([s.cmc for s in scores], axis=0),
        np.asarray(ap),
        np.asarray(inp),
        np.asarray(np.round(first), np.int64),
    )


def _drawn(
    ids: NDArray[np.int64],
    cameras: NDArray[np.int64],
    allowed: tuple[int, ...],
    shots: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    rows = np.flatnonzero(np.isin(cameras, allowed) & (ids != JUNK))
    rows = rows[np.argsort(rng.random(len(rows)))]
    groups: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        groups.setdefault((int(ids[row]), int(cameras[row])), []).append(int(row))
    return np.sort(np.array([row for group in groups.values() for row in group[:shots]], np.int64))


def _one_draw(
    table: NDArray[np.float32],
    wanted: NDArray[np.int64],
    ids: NDArray[np.int64],
    cameras: NDArray[np.int64],
    seen_by: NDArray[np.int64],
    rows: NDArray[np.int64],
    max_rank: int,
) -> RetrievalScores:
    ap, inp = np.full(len(table), np.nan), np.full(len(table), np.nan)
    first = np.zeros(len(table), np.int64)
    for camera in SYSU_INFRARED:
        queries = np.flatnonzero(cameras == camera)
        usable = rows[seen_by[rows] != 2] if camera == 3 else rows
        if not len(queries) or not len(usable):
            continue
        part = table[np.ix_(queries, usable)]
        scores = ranked(part, wanted[queries], ids[usable], max_rank)
        ap[queries], inp[queries] = scores.ap, scores.inp
        first[queries] = _identity_places(part, wanted[queries], ids[usable])
    return RetrievalScores.of(ap, inp, first, max_rank)


def _identity_places(
    table: NDArray[np.float32], wanted: NDArray[np.int64], ids: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Place of the query's identity when each identity stands at its nearest image; 0 = not there."""
    order = np.argsort(table, axis=1, kind="stable")
    places = np.zeros(len(table), np.int64)
    for i, ranking in enumerate(ids[order]):
        names, at = np.unique(ranking, return_index=True)
        own = at[names == wanted[i]]
        places[i] = 1 + np.count_nonzero(at < own[0]) if len(own) else 0
    return places
