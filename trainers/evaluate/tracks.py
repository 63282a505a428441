"""`musewatch evaluate tracks`: how well the tracks of the main job keep to the people of labelled clips."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import build
from pipeline.build import Looks
from pipeline.cli.common import ConfigOption, config_of
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.files import make_folder
from pipeline.messages import Seen
from pipeline.output import JsonOption, print_json, say
from pipeline.plugged import PluggedDetector
from pipeline.runner.inline import InlineFront
from trainers.evaluate.alerts import print_rows
from trainers.evaluate.frames import Thinning, play
from trainers.evaluate.truth import LABEL_ENDINGS, Label, read_labels
from trainers.metrics.tracking import (
    Sights,
    TrackingCounts,
    TrackingScores,
    pooled,
    tracking_counts,
    without_ignored,
)

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "switches")
ANSWER = "tracks.json"


@dataclass(frozen=True, slots=True)
class Followed:
    """The tracks of a clip: their sights by number of the frame, from 1, and how many vectors were made."""

    sights: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]
    vectors: int


def tracks(
    folder: Annotated[
        Path, typer.Argument(metavar="CLIPS", help="*.mp4, each with its *.gt.txt or *.gt_ids.txt.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go.")],
    config: ConfigOption = None,
    fps: Annotated[
        float | None, typer.Option(min=0.01, max=1000, help="So many frames a second are shown; else all.")
    ] = None,
    drop: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the frames that is left out at random.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Measures the tracks of the main job on labelled clips; only labelled frames that are shown count."""
    clips = labelled_clips(folder)
    make_folder(out)
    measured = measure(config_of(config), clips, Thinning(fps, drop, seed), out)
    rows = [{"clip": name} | row_of(counts.scores()) for name, counts in measured.items()]
    together = row_of(pooled(measured.values()).scores())
    document = {"rows": rows, "all": together}
    (out / ANSWER).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(document)
        return
    print_rows([shown(row) for row in (*rows, {"clip": "all"} | together)], ("clip", *COLUMNS))


def labelled_clips(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Clip and labels by name; a clip without labels is left out.

    Raises:
        InputError: There is none.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for clip in sorted(folder.glob("*.mp4")):
        labels = next(
            (path for end in LABEL_ENDINGS if (path := folder / f"{clip.stem}{end}").is_file()), None
        )
        if labels is not None:
            found[clip.stem] = clip, labels
    if not found:
        raise InputError(
            f"there is no labelled *.mp4 in {folder}",
            "put NAME.gt.txt or NAME.gt_ids.txt beside NAME.mp4 (MOT text)",
        )
    return found


def measure(
    config: Config, clips: dict[str, tuple[Path, Path]], thinning: Thinning, out: Path
) -> dict[str, TrackingCounts]:
    """Follows everybody through every clip, and compares with the labels; leaves the tracks as `out/<clip>.txt`.

    Raises:
        ConfigError: A part of the config cannot start.
        InputError: A clip or its labels are damaged, or nobody is labelled in what is shown.
    """
    measured = {}
    with ExitStack() as opened:
        guests = build.guests(config)
        detector = build.open_detector(config, opened, guests)
        looks = build.open_looks(config, opened, guests)
        for name, (clip, file) in clips.items():
            labels = read_labels(file)
            followed = follow(config, detector, looks, clip, thinning)
            (out / f"{name}.txt").write_text(mot_text(followed.sights), encoding="utf-8")
            people = [len(ids) for ids, _ in followed.sights.values()]
            say(f"{name}: {len(people)} frames, {sum(people)} people in tracks, {followed.vectors} vectors")
            truth = sights_of(labels.people, followed.sights, also=labels.ignored)
            ignored = sights_of(labels.ignored, followed.sights)
            found = without_ignored(truth, ignored, followed.sights)
            try:
                measured[name] = tracking_counts(truth, found)
            except InputError as error:
                raise InputError(f"{file}: {error}", "show more frames, or mend the labels") from None
    return measured


def follow(
    config: Config, detector: PluggedDetector, looks: Looks, clip: Path, thinning: Thinning
) -> Followed:
    """The tracks of a clip, by the stages of a run.

    Raises:
        InputError: The file is no video, or damaged.
    """
    counted = CountingEmbedder(looks.embedder.plugin)
    looks = replace(looks, embedder=replace(looks.embedder, plugin=counted))
    front = InlineFront(*build.front_stages(config, detector, looks, _fail))
    sights = {}
    for frame in thinning(play(clip)):
        seen, _ = front.push(replace(frame, stream_id=clip.stem, epoch=clip.stem))
        sights[frame.index + 1] = _sights(seen)
    front.finish()
    return Followed(sights, counted.vectors)


class CountingEmbedder:
    """Says how many vectors were made."""

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self.vectors = 0

    def embed(self, crops: Any) -> Any:
        """(N, D) unit rows."""
        self.vectors += len(crops)
        return self._embedder.embed(crops)


def sights_of(labels: Iterable[Label], shown: Iterable[int], also: Iterable[Label] = ()) -> Sights:
    """Labels by frame, of the frames that were shown.

    Args:
        labels: Boxes.
        shown: Numbers of frames.
        also: Labels whose frames count as labelled, too.
    """
    wanted = frozenset(shown)
    by_frame: dict[int, list[Label]] = {label.frame: [] for label in also if label.frame in wanted}
    for label in labels:
        if label.frame in wanted:
            by_frame.setdefault(label.frame, []).append(label)
    return {
        frame: (
            np.array([label.number for label in here], np.int64),
            np.array([label.box for label in here], np.float64).reshape(-1, 4),
        )
        for frame, here in by_frame.items()
    }


def mot_text(sights: Sights) -> str:
    """Tracks as MOT text, `frame,id,x,y,w,h,1,-1,-1,-1`, as TrackEval reads them."""
    lines = []
    for frame, (ids, boxes) in sorted(sights.items()):
        for number, (x0, y0, x1, y1) in zip(ids.tolist(), boxes.tolist(), strict=True):
            lines.append(f"{frame},{number},{x0:.6f},{y0:.6f},{x1 - x0:.6f},{y1 - y0:.6f},1,-1,-1,-1\n")
    return "".join(lines)


def row_of(scores: TrackingScores) -> dict[str, Any]:
    """As it is printed."""
    values = (scores.hota, scores.det_a, scores.ass_a, scores.idf1, scores.mota, scores.switches)
    return dict(zip(COLUMNS, values, strict=True))


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people."""
    return {key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()}


def _sights(seen: Seen) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Who is in a track; of two boxes of one track the surer one."""
    rows = np.flatnonzero(seen.track_ids >= 0)
    rows = rows[np.argsort(-seen.detections.score[rows], kind="stable")]
    _, first = np.unique(seen.track_ids[rows], return_index=True)
    rows = np.sort(rows[first])
    return seen.track_ids[rows], seen.detections.xyxy[rows].astype(np.float64)


def _fail(stream_id: str, error: Exception) -> None:
    del stream_id
    raise error
