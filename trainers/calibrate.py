"""`musewatch calibrate`: says when a hit is opened, from pairs of the same and of different people.

The cuts are chosen on the distance that is decided by, fused where a verifier fuses and before any re-ranking, so that
a stated share of those who are not enrolled raises a false alarm, for every number of people enrolled; how, is said in
`trainers.metrics.impostors`. The file carries the digests of the engines that it belongs to.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from pipeline.cli.common import ConfigOption, config_of
from pipeline.config import Config
from pipeline.errors import ConfigError, InputError, OutsideError
from pipeline.identify.calibration import (
    Asked,
    CalibratedCut,
    Calibration,
    KindCalibration,
    Likelihood,
)
from pipeline.output import JsonOption, console, print_json, say
from trainers.evaluate.calibration_curves import draw
from trainers.evaluate.clip_pairs import clip_pairs
from trainers.evaluate.pairs import PICTURE, TEXT, Pairs, feature_pairs
from trainers.evaluate.result_table import need_plots
from trainers.metrics.impostors import SIZES, Searches, cut_bands, likelihood, many_pictures


def calibrate(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="An .npz as `evaluate features` reads it, or a folder of clips."
        ),
    ],
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
    assume_impostors: Annotated[
        bool,
        typer.Option(
            "--assume-impostors",
            help="Clips without labels: nobody on the watchlist is in them. Gives cuts, no probabilities.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Chooses the cuts of hits for a stated rate of false alarms, from pairs of the same and of different people."""
    _need_one(fpir, false_alarms)
    need_plots()
    read = read_pairs(pairs, _uncalibrated(config_of(config)), assume_impostors=assume_impostors)
    day = read.people_per_camera_day if people is None else people
    made = calibration_of(read, asked_for(fpir, false_alarms, day), pairs, genuine=not assume_impostors)
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


def _uncalibrated(config: Config) -> Config:
    """The config without the calibration of before, which may belong to other engines."""
    return config.model_copy(update={"decision": config.decision.model_copy(update={"calibration": None})})


def read_pairs(path: Path, config: Config, *, assume_impostors: bool) -> Pairs:
    """Pairs of a file of features or a folder of clips.

    Raises:
        ConfigError: A part of the config cannot start, or a file of features is said to be all impostors.
        InputError: What is there cannot be used.
    """
    if path.is_dir():
        return clip_pairs(path, config, assume_impostors=assume_impostors)
    if assume_impostors:
        raise ConfigError(f"{path} is no folder of clips", "--assume-impostors is for clips without labels")
    return feature_pairs(path, config)


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
