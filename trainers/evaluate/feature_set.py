"""Queries and gallery as features with labels: what every retrieval figure is worked out from."""

import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.rerank import Distances, MuEntries, checks

REQUIRED = (
    "query_features", "gallery_features", "query_ids", "gallery_ids", "query_cameras", "gallery_cameras",
)  # fmt: skip
_MOST_BYTES = 2**30
_MOST_RATIO = 20  # unpacked over packed, above _MOST_BYTES: features hardly shrink
PATHS = ("query_paths", "gallery_paths")
LABELS = ("query_clothes", "gallery_clothes", "gallery_scenes", "gallery_is_text")


@dataclass(frozen=True, slots=True)
class Opinions:
    """What a verifier said of the shortlists: (Q, C) gallery rows and probabilities that they differ."""

    candidates: NDArray[np.int64]
    p_no: NDArray[np.float32]

    def nearest(self, d: Distances, top_c: int) -> "Opinions":
        """Only the `top_c` candidates of each query that are nearest by raw distance, as MUSE asks them."""
        width = self.candidates.shape[1]
        if top_c >= width:
            return self
        rows = np.repeat(np.arange(d.n_queries), width)
        raw = d.pairs(rows, self.candidates.ravel() + d.n_queries).reshape(-1, width)
        keep = np.lexsort((self.candidates, raw))[:, :top_c]
        return Opinions(np.take_along_axis(self.candidates, keep, 1), np.take_along_axis(self.p_no, keep, 1))


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A checked `evaluate features` file.

    Attributes:
        query_features: (Q, D) float32.
        gallery_features: (G, D) float32.
        query_ids: (Q,) int64.
        gallery_ids: (G,) int64; -1 = junk.
        query_cameras: (Q,) int64.
        gallery_cameras: (G,) int64.
        opinions: Of a verifier, if the file has them.
        labels: More labels by name, each one for each query or gallery image.
        query_paths: (Q,) names of the pictures in some folder, if the file has them.
        gallery_paths: (G,) the same.
    """

    query_features: NDArray[np.float32]
    gallery_features: NDArray[np.float32]
    query_ids: NDArray[np.int64]
    gallery_ids: NDArray[np.int64]
    query_cameras: NDArray[np.int64]
    gallery_cameras: NDArray[np.int64]
    opinions: Opinions | None = None
    labels: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    query_paths: tuple[str, ...] | None = None
    gallery_paths: tuple[str, ...] | None = None

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], tau: float = 5.0) -> "FeatureSet":
        """Checks arrays by their names in the file.

        Raises:
            InputError: One is missing, damaged, or does not fit the others.
        """
        missing = [name for name in REQUIRED if name not in arrays]
        if missing:
            raise InputError(f"missing: {', '.join(missing)}", f"an .npz needs {', '.join(REQUIRED)}")
        queries = checks.matrix("query_features", arrays["query_features"], (None, None))
        gallery = checks.matrix("gallery_features", arrays["gallery_features"], (None, queries.shape[1]))
        size = {"query": len(queries), "gallery": len(gallery)}
        label = {
            name: checks.labels(name, arrays[name], size[name.partition("_")[0]])
            for name in (*REQUIRED[2:], *LABELS)
            if name in arrays
        }
        if not len(queries) or not len(gallery):
            raise InputError(
                f"{len(queries)} queries and {len(gallery)} gallery images: neither may be empty"
            )
        if not queries.shape[1]:
            raise InputError("query_features and gallery_features have rows of no numbers")
        more = {name: label.pop(name) for name in LABELS if name in label}
        opinions = opinions_of(arrays, tau)
        if opinions is not None:
            MuEntries(opinions.candidates, opinions.p_no, 0.0).check_range(len(queries), len(gallery))
        paths = {
            name: _names(name, arrays[name], size[name.partition("_")[0]]) for name in PATHS if name in arrays
        }
        return cls(
            queries,
            gallery,
            label["query_ids"],
            label["gallery_ids"],
            label["query_cameras"],
            label["gallery_cameras"],
            opinions,
            more,
            paths.get("query_paths"),
            paths.get("gallery_paths"),
        )

    def save(self, path: Path) -> None:
        """Writes features and labels as `evaluate features` reads them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in REQUIRED} | self.labels
        np.savez(path, **arrays)

    def unit_distances(self) -> NDArray[np.float32]:
        """(Q, G) distances in [0, 2] of rows that have unit length."""
        table: NDArray[np.float32] = np.sqrt(
            np.maximum(0, 2 - 2 * self.query_features @ self.gallery_features.T)
        )
        return table

    def distances(self, metric: Any = "euclidean", memory_mb: float = 256) -> Distances:
        """The set for the re-rankers."""
        return Distances.from_features(self.query_features, self.gallery_features, metric, memory_mb)


def nearest_rows(d: Distances, top_c: int) -> NDArray[np.int64]:
    """(Q, C) gallery rows of each query, nearest first; equal distances are ordered by row."""
    nearest = [np.argsort(block, axis=1, kind="stable")[:, :top_c] for _, block in d.query_blocks()]
    return np.concatenate(nearest).astype(np.int64)


def _names(name: str, values: NDArray[Any], size: int) -> tuple[str, ...]:
    if values.shape != (size,) or values.dtype.kind != "U":
        raise InputError(
            f"{name} is {values.dtype} {values.shape}, expected ({size},) texts: one for each image"
        )
    return tuple(values.tolist())


def opinions_of(arrays: dict[str, NDArray[Any]], tau: float = 5.0) -> Opinions | None:
    """`candidates` with `p_no`, or with the answers' logits `s_yes`, `s_no`: p_no = 1 / (1 + exp((yes - no) / tau)).

    Raises:
        InputError: Half of it is missing.

    Source: MUSE (arXiv 2606.16161), equation 5.
    """
    if "candidates" not in arrays:
        if "p_no" in arrays:
            raise InputError("p_no without candidates", "say which gallery rows were judged")
        return None
    if "p_no" in arrays:
        p_no = arrays["p_no"]
    elif "s_yes" in arrays and "s_no" in arrays:
        yes, no = (checks.matrix(name, arrays[name], (None, None)) for name in ("s_yes", "s_no"))
        p_no = 1.0 / (1.0 + np.exp(np.clip((yes - no) / tau, -80, 80)))
    else:
        raise InputError("candidates without p_no", "give p_no, or the logits s_yes and s_no")
    checked = MuEntries(arrays["candidates"], p_no, 0.0)
    return Opinions(checked.candidates, checked.p_no)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz; pickled objects are refused.

    Raises:
        InputError: Missing, damaged, not an .npz, or of far more bytes than the file has.
    """
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > max(_MOST_BYTES, _MOST_RATIO * path.stat().st_size):
            raise InputError(f"{path} would unpack to {unpacked} bytes", "write it with numpy.savez")
        arrays = {}
        with warnings.catch_warnings(action="ignore"), np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                arrays[name] = np.asarray(stored[name])
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except InputError:
        raise
    except Exception:  # numpy and zipfile raise what the bytes make them raise
        which = f": {name!r} cannot be read" if name else ""
        raise InputError(
            f"{path} is not a readable .npz of plain arrays{which}", "write it with numpy.savez"
        ) from None
    return arrays


def read_features(path: Path, tau: float = 5.0) -> FeatureSet:
    """A checked feature file.

    Raises:
        InputError: With the file's name and what is wrong in it.
    """
    try:
        return FeatureSet.of(read_arrays(path), tau)
    except InputError as error:
        if str(path) in error.problem:
            raise
        raise InputError(f"{path}: {error.problem}", error.fix) from None
