"""A page one can look at: each query with its ten nearest gallery pictures, right and wrong ones framed."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.files import make_private
from pipeline.protocols import Codec
from trainers.datasets.pictures import read_picture
from trainers.datasets.sample import Sample
from trainers.datasets.search import PictureSearch
from trainers.evaluate.feature_set import FeatureSet
from trainers.metrics.retrieval import retrieval_scores

TOP = 10
THUMBNAIL = (96, 192)  # most width, height in pixels

STYLE = """
:root { color-scheme: light dark; --right: #1a7f37; --wrong: #c62828; --quiet: #6b7280; }
body { font: 14px/1.4 system-ui, "DejaVu Sans", sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
p { color: var(--quiet); margin: .3rem 0 1.5rem; }
section { display: flex; gap: 1.2rem; padding: .9rem 0; }
section { border-top: 1px solid color-mix(in srgb, gray 35%, transparent); }
ol { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; margin: 0; padding: 0; }
figure { margin: 0; width: 96px; text-align: center; }
img { display: block; box-sizing: border-box; width: 96px; height: 184px; object-fit: contain; }
img { border: 4px solid var(--quiet); border-radius: 4px; background: color-mix(in srgb, gray 15%, transparent); }
.right img { border-color: var(--right); } .wrong img { border-color: var(--wrong); border-style: dashed; }
.right b { color: var(--right); } .wrong b { color: var(--wrong); }
figcaption { font-size: 11px; line-height: 1.35; margin-top: .2rem; font-variant-numeric: tabular-nums; }
figcaption span { color: var(--quiet); }
"""


def write_rank_page(
    path: Path,
    title: str,
    pictures: PictureSearch,
    data: FeatureSet,
    distances: NDArray[np.float32],
    codec: Codec,
    queries: int,
) -> None:
    """Writes one HTML file with all pictures in it.

    Args:
        path: Where to.
        title: Shown on top.
        pictures: Where the pictures lie.
        data: Their labels.
        distances: (Q, G), smaller = nearer.
        codec: Makes the thumbnails.
        queries: How many queries are shown, spread evenly from the worst to the best.

    Raises:
        InputError: A picture is missing or damaged, or there are more or fewer than features.
    """
    shown_sizes, scored_sizes = (len(pictures.query), len(pictures.gallery)), distances.shape
    if shown_sizes != scored_sizes:
        raise InputError(f"{shown_sizes} pictures (queries, gallery) for {scored_sizes} features")
    scores = retrieval_scores(
        distances, data.query_ids, data.gallery_ids, data.query_cameras, data.gallery_cameras
    )
    worst_first = np.argsort(scores.ap, kind="stable")[: int((scores.first > 0).sum())]
    shown = worst_first[np.unique(np.linspace(0, len(worst_first) - 1, queries).astype(int))]
    thumbnails = _Thumbnails(codec)
    sections = [
        _section(
            pictures, data, thumbnails, int(query), nearest(distances, data, int(query)), scores.ap[query]
        )
        for query in shown
    ]
    about = (
        f"{len(shown)} of {len(scores.ap)} queries, from the worst average precision to the best. Solid green = the "
        "same person, dashed red = somebody else. Pictures of the query's own person and camera are left out, "
        "as in the scores."
    )
    make_private(path)
    path.write_text(_page(title, about, sections), encoding="utf-8")


def nearest(distances: NDArray[np.float32], data: FeatureSet, query: int) -> list[tuple[int, float]]:
    """Gallery rows and distances of the first ten that the Market rule counts."""
    own = (data.gallery_ids == data.query_ids[query]) & (data.gallery_cameras == data.query_cameras[query])
    counted = np.flatnonzero(~own & (data.gallery_ids != -1))
    order = counted[np.argsort(distances[query, counted], kind="stable")][:TOP]
    return [(int(row), float(distances[query, row])) for row in order]


def _section(
    pictures: PictureSearch,
    data: FeatureSet,
    thumbnails: "_Thumbnails",
    query: int,
    found: Sequence[tuple[int, float]],
    ap: float,
) -> str:
    asked = pictures.query[query]
    head = _figure(
        thumbnails.of(asked),
        "",
        f"<b>person {asked.identity}</b><br><span>camera {asked.camera}<br>AP {ap:.2f}</span>",
    )
    items = []
    for place, (row, distance) in enumerate(found, 1):
        picture = pictures.gallery[row]
        right = data.gallery_ids[row] == data.query_ids[query]
        mark = "\N{CHECK MARK}" if right else "\N{MULTIPLICATION SIGN}"
        seen = f"<span>camera {picture.camera}, {distance:.3f}</span>"
        caption = f"<b>{place} {mark}</b> person {picture.identity}<br>{seen}"
        items.append(f"<li>{_figure(thumbnails.of(picture), 'right' if right else 'wrong', caption)}</li>")
    return f"<section>{head}<ol>{''.join(items)}</ol></section>"


def _figure(uri: str, kind: str, caption: str) -> str:
    return f'<figure class="{kind}"><img src="{uri}" alt=""><figcaption>{caption}</figcaption></figure>'


class _Thumbnails:
    """Small JPEGs as data URIs, each picture once."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._made: dict[tuple[Path, object], str] = {}

    def of(self, sample: Sample) -> str:
        if (shown := (sample.path, sample.box)) not in self._made:
            image = read_picture(sample)
            height, width = image.shape[:2]
            scale = min(THUMBNAIL[0] / width, THUMBNAIL[1] / height)
            image = self._codec.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))
            data = base64.b64encode(self._codec.encode(image, 80)).decode()
            self._made[shown] = f"data:image/jpeg;base64,{data}"
        return self._made[shown]


def _page(title: str, about: str, sections: Sequence[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1><p>{escape(about)}</p>{''.join(sections)}</html>\n"
    )
