"""A verifier asked about the shortlists of a feature file, pictures from a folder."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engines.lmm.answers import p_no
from engines.lmm.pairs import open_pairs
from engines.lmm.pictures import Picture, prepare
from engines.manifest import load_manifest
from engines.sessions.base import Device
from pipeline.errors import InputError
from pipeline.rerank import Distances
from trainers.datasets.pictures import read_picture
from trainers.datasets.sample import Sample
from trainers.evaluate.feature_set import FeatureSet, Opinions, nearest_rows

_TAU = 5.0
_OPEN = 256  # pictures kept ready for the network


class PairAnswers:
    """What a verifier says of pairs of picture files.

    Args:
        manifest: Of a verifier with a prompt and answers.
        device: cpu or cuda.

    Raises:
        EngineError: It cannot be used.
    """

    def __init__(self, manifest: Path, device: str) -> None:
        engine = load_manifest(manifest)
        self._scorer, self._tau = open_pairs(engine, device=cast(Device, device)), engine.tau or _TAU
        self._settings = engine.preprocess
        self._picture = lru_cache(_OPEN)(self._read)

    def p_no(self, query: Path, candidates: Sequence[Path]) -> NDArray[np.float32]:
        """(n,) probability that each candidate shows another person than the query.

        Raises:
            InputError: A picture is missing or damaged.
        """
        first = self._picture(query)
        answers = p_no(self._scorer.score([(first, self._picture(path)) for path in candidates]), self._tau)
        self._scorer.forget(first)  # no query comes twice
        return answers

    def _read(self, path: Path) -> Picture:
        return prepare([read_picture(Sample(path=path, identity=0, camera=0))], self._settings)[0]


def ask(data: FeatureSet, d: Distances, images: Path, top_c: int, answers: PairAnswers) -> Opinions:
    """Opinions of each query's `top_c` nearest gallery rows; equal distances are ordered by row.

    Raises:
        InputError: The file names no pictures, or one is missing or damaged.
    """
    if data.query_paths is None or data.gallery_paths is None:
        raise InputError(
            "the file does not name its pictures", "add query_paths and gallery_paths, relative to --images"
        )
    candidates = nearest_rows(d, top_c)
    paths = [images / name for name in data.gallery_paths]
    said = [
        answers.p_no(images / query, [paths[row] for row in rows])
        for query, rows in zip(data.query_paths, candidates, strict=True)
    ]
    return Opinions(candidates, np.stack(said))
