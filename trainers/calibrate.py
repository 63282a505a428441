"""`musewatch calibrate`: says when a hit is opened, from pairs of the same and of different people.

The cuts are chosen on the distance that is decided by, fused where a verifier fuses and before any re-ranking, so that
a stated share of those who are not enrolled raises a false alarm, for every number of people enrolled; how, is said in
`trainers.metrics.impostors`. The file carries the digests of the engines that it belongs to.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from pipeline import build
from pipeline.cli.common import ConfigOption, config_of
from pipeline.config import Config
from pipeline.errors import ConfigError, InputError, OutsideError
from pipeline.identify.calibration import (
    Asked,
    CalibratedCut,
    CalibratedEngines,
    Calibration,
    KindCalibration,
    Likelihood,
)
from pipeline.output import JsonOption, console, print_json, say
from pipeline.plugged import PluggedEmbedder, PluggedVerifier
from trainers.evaluate.calibration_curves import draw
from trainers.evaluate.feature_set import FeatureSet, read_features
from trainers.evaluate.result_table import need_plots
from trainers.metrics.impostors import SIZES, Searches, cut_bands, likelihood, many_pictures

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


def calibrate(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="An .npz as `evaluate features` reads it.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The calibration; its curves beside it as .png.")
    ],
    config: ConfigOption = None,
    fpir: Annotated[
        float | None, typer.Option(help="Share of strangers taken for somebody enrolled: 0.01 = one in 100.")
    ] = None,
    false_alarms: Annotated[
        float | None, typer.Option("--false-alarms-per-camera-day", help="Or how many of them there may be.")
    ] = None,
    people: Annotated[
        float | None,
        typer.Option("--people-per-camera-day", help="Strangers whom a camera sees; else as in the footage."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Chooses the cuts of hits for a stated rate of false alarms, from labelled pairs."""
    _need_one(fpir, false_alarms)
    need_plots()
    read = read_pairs(pairs, config_of(config))
    made = calibration_of(read, asked_for(fpir, false_alarms, people or read.people_per_camera_day), pairs)
    picture = out.with_suffix(".png")
    try:
        out.write_text(made.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
        draw(made, read.searches, picture)
    except OSError as error:
        raise OutsideError(f"{error.filename or out} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"calibration": str(out), "curve": str(picture), **made.model_dump(by_alias=True)})
        return
    for kind in read.searches:
        console().print(_table(kind, made))
    say(f"{out}, curves in {picture}; use it with decision: {{calibration: {out.name}}}")


def _need_one(fpir: float | None, false_alarms: float | None) -> None:
    if (fpir is None) == (false_alarms is None):
        raise ConfigError(
            "how many false alarms there may be is not clear", "give --fpir or --false-alarms-per-camera-day"
        )


def asked_for(fpir: float | None, false_alarms: float | None, people: float | None) -> Asked:
    """The share of strangers that may raise a false alarm.

    Raises:
        ConfigError: A number out of bounds, or nobody knows how many strangers a day brings.
    """
    if fpir is None:
        assert false_alarms is not None
        if not people or not people > 0:
            raise ConfigError(
                "nothing says how many people a camera sees in a day", "give --people-per-camera-day"
            )
        fpir = false_alarms / people
    if not 0 < fpir < 1:
        raise ConfigError(
            f"a share of {fpir:g} of the strangers cannot be asked for",
            "ask for more than none and less than all",
        )
    return Asked(fpir=fpir, false_alarms_per_camera_day=false_alarms, people_per_camera_day=people)


def read_pairs(path: Path, config: Config) -> Pairs:
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


def calibration_of(pairs: Pairs, asked: Asked, made_from: Path, *, genuine: bool = True) -> Calibration:
    """The calibration of some pairs.

    Args:
        pairs: By kind.
        asked: For what its cuts are.
        made_from: Named in the file.
        genuine: Whether genuine pairs are needed; without them there are no probabilities.

    Raises:
        InputError: Too few pairs of a kind, or none to a picture.
    """
    if PICTURE not in pairs.searches:
        raise InputError("nobody is enrolled by a picture", "a calibration needs pairs with pictures")
    kinds = {
        kind: _kind(kind, searches.thinned(), asked.fpir, genuine)
        for kind, searches in pairs.searches.items()
    }
    return Calibration(
        made_from=made_from.name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        asked=asked,
        engines=pairs.engines,
        picture=kinds[PICTURE],
        text=kinds.get(TEXT),
    )


def _kind(kind: str, searches: Searches, fpir: float, genuine: bool) -> KindCalibration:
    searches.check(kind, genuine=genuine)
    own, others = searches.distances[searches.genuine], searches.distances[searches.impostor]
    intercept, slope = likelihood(own, others) if len(own) else (0.0, 0.0)
    bands = np.round(cut_bands(searches, fpir), 4)
    cuts = tuple(
        CalibratedCut(
            enrolled=size,
            max_distance=cut,
            low=low,
            high=high,
            found=round(float(np.mean(own <= cut)), 4) if len(own) else None,
        )
        for size, cut, low, high in zip(SIZES, *bands.tolist(), strict=True)
    )
    return KindCalibration(
        genuine=len(own),
        impostor=len(others),
        many=round(many_pictures(searches), 3),
        cuts=cuts,
        likelihood=Likelihood(intercept=intercept, slope=slope) if len(own) else None,
    )


def _table(kind: str, made: Calibration) -> Table:
    fitted: Any = getattr(made, kind)
    table = Table(box=None, title=f"{kind}: cuts for false alarms by {made.asked.fpir:.3%} of the strangers")
    for column in ("enrolled", "cut", "95 % band", "genuine found"):
        table.add_column(column, justify="right", no_wrap=True)
    for cut in fitted.cuts:
        found = "-" if cut.found is None else f"{100 * cut.found:.1f} %"
        table.add_row(
            f"{cut.enrolled:.0f}", f"{cut.max_distance:.3f}", f"{cut.low:.3f}-{cut.high:.3f}", found
        )
    return table
