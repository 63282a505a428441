"""Genuine and impostor pairs, with the engines that their distances belong to; those of a file of features."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import build
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.identify.calibration import CalibratedEngines
from pipeline.plugged import PluggedEmbedder, PluggedVerifier
from trainers.evaluate.feature_set import FeatureSet, read_features
from trainers.metrics.impostors import Searches

PICTURE, TEXT = "picture", "text"
UNKNOWN = -1  # identity
_SURELY_NOT = 1.0  # p_no of whom the verifier was not asked about


@dataclass(frozen=True, slots=True)
class Pairs:
    """What a calibration is made from.

    Attributes:
        searches: By kind; one without rows is left out.
        engines: What the distances were made with.
        people_per_camera_day: Who were seen and not enrolled; None where no footage says so.
    """

    searches: dict[str, Searches]
    engines: CalibratedEngines
    people_per_camera_day: float | None = None


def feature_pairs(path: Path, config: Config) -> Pairs:
    """Pairs of a file of features, with the engines that the config names.

    Raises:
        ConfigError: An engine cannot start, or its verifier does not fit the file.
        InputError: The file is damaged, or of vectors of another length.
    """
    data = read_features(path)
    with ExitStack() as opened:
        guests = build.guests(config)
        embedder = build.let_in(PluggedEmbedder, config, opened, guests, config.embedder)
        verifier = build.let_in(PluggedVerifier, config, opened, guests, config.verifier)
        engines = engines_of(embedder, verifier)
        dimension = embedder.dimension
    if data.query_features.shape[1] != dimension:
        raise InputError(
            f"{path} has vectors of {data.query_features.shape[1]} numbers, the embedder makes {dimension}",
            "name the embedder in the config that made them",
        )
    if engines.fuses != (data.opinions is not None):
        raise InputError(
            f"{path} has {'no' if engines.fuses else 'a'} verifier's answers, and the verifier "
            f"{config.verifier.use!r} {'fuses' if engines.fuses else 'does not fuse'}",
            "calibrate the distance that will be decided by: with candidates and p_no where the verifier fuses",
        )
    return Pairs(searches_of(data, engines.alpha), engines)


def engines_of(
    embedder: PluggedEmbedder, verifier: PluggedVerifier, detector: str | None = None
) -> CalibratedEngines:
    """What names the engines of a calibration."""
    facts = verifier.facts
    return CalibratedEngines(
        detector=detector,
        embedder=embedder.digest,
        verifier=facts.engine_digest,
        fuses=facts.fuses,
        alpha=facts.alpha,
        tau=facts.tau,
    )


def searches_of(data: FeatureSet, alpha: float | None) -> dict[str, Searches]:
    """Every query against every gallery row, by kind of row.

    Rows of the query's person in the query's camera do not count, rows of identity -1 neither; a query of -1 is
    nobody's. With a verifier's answers the distance is fused; whom it was not asked about could be no hit, and
    counts as surely somebody else.

    Raises:
        InputError: A vector without a direction.
    """
    table = _unit(data.query_features, "query") @ _unit(data.gallery_features, "gallery").T
    distances = np.sqrt(np.clip(2 - 2 * table, 0, 4)).astype(np.float64)
    if data.opinions is not None and alpha is not None:
        p_no = np.full(distances.shape, _SURELY_NOT)
        np.put_along_axis(p_no, data.opinions.candidates, data.opinions.p_no, axis=1)
        distances = (1 - alpha) * distances + alpha * 2 * p_no
    same = (data.query_ids[:, None] == data.gallery_ids) & (data.gallery_ids != UNKNOWN)
    genuine = same & (data.query_cameras[:, None] != data.gallery_cameras)
    impostor = ~same & (data.gallery_ids != UNKNOWN)
    people = np.where(data.query_ids == UNKNOWN, -2 - np.arange(len(data.query_ids)), data.query_ids)
    every = Searches(distances, genuine, impostor, people, data.gallery_ids)
    is_text = data.labels.get("gallery_is_text", np.zeros(len(data.gallery_ids), np.int64)) != 0
    return by_kind(every, is_text)


def by_kind(every: Searches, is_text: NDArray[np.bool_]) -> dict[str, Searches]:
    """The searches against pictures and those against texts; a kind without rows is left out."""
    rows = np.arange(len(every.people))
    kinds = {PICTURE: np.flatnonzero(~is_text), TEXT: np.flatnonzero(is_text)}
    return {kind: every.of(rows, columns) for kind, columns in kinds.items() if len(columns)}


def _unit(rows: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(f"{what}_features row {int(lengths.argmin())} is zero", "leave that row out")
    unit: NDArray[np.float32] = rows / lengths
    return unit
