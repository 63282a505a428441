"""`train ultralytics`: a detector of the ultralytics library from the user's own data (extra `agpl`), as an engine.

The library is AGPL-3.0, and so is what it trains: nothing of it ships with us. It likes to fetch weights, keep settings
in the home folder and count its users: all of that is switched off before it is imported.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field

from engines.files import write_engine
from engines.manifest import SCHEMA, UNSAVED, Manifest, Preprocess, UltralyticsDecoder
from pipeline.errors import ConfigError, InputError
from pipeline.extras import cure
from pipeline.settings import ConfigPath, Settings

PAD = 114


class Config(Settings):
    """A whole training run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Of the engine that comes out.")
    licence: str = Field(default="AGPL-3.0", description="Of its weights.")
    data: ConfigPath = Field(description="The library's data.yaml: train, val, names.")
    model: str = Field(
        default="yolo11n.yaml",
        pattern=r"\.yaml$",
        description="An architecture of the library, from scratch.",
    )
    person_class: int = Field(default=0, ge=0, description="Number of the class of people in the data.")
    size: int = Field(default=640, ge=32, le=4096, multiple_of=32, description="Side of the square input.")
    epochs: int = Field(default=100, ge=1)
    batch: int = Field(default=16, ge=1)
    rate: float = Field(default=2e-3, gt=0, description="Of AdamW.")


def train_ultralytics(
    config: Config, out: Path, seed: int = 0, device: str = "cpu", resume: bool = False
) -> Path:
    """Trains and exports; returns the manifest `out/engine/NAME.yaml` for the detector `onnx`.

    Raises:
        ConfigError: The library is not installed.
        InputError: The library refuses the data, or there is nothing to go on from.
    """
    if not config.data.is_file():
        raise InputError(f"there is no data set {config.data}", "give the data.yaml of the library's form")
    with TemporaryDirectory(prefix="musewatch-ultralytics-") as settings:
        network, scores = _train(_library(settings), config, out, seed, device, resume)
    manifest = _manifest(config, out / "engine", seed, scores)
    write_engine(manifest, network)
    return out / "engine" / f"{config.name}.yaml"


def _library(settings: str) -> Any:
    """The library's class of models, quiet and offline."""
    os.environ.update(
        YOLO_CONFIG_DIR=settings,
        MPLCONFIGDIR=settings,
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_VERBOSE="false",
    )
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        from ultralytics import YOLO
    except ImportError:
        raise ConfigError("the library ultralytics is not installed", cure(["agpl"])) from None
    return YOLO


def _train(
    library: Any, config: Config, out: Path, seed: int, device: str, resume: bool
) -> tuple[Path, dict[str, float]]:
    """The exported network, and what the library measured on the data's `val`."""
    last = out / "train" / "weights" / "last.pt"
    if resume and not last.is_file():
        raise InputError(f"there is no {last} to go on from", "start the run without --resume")
    try:
        model = library(str(last) if resume else config.model, task="detect")
        model.train(
            data=str(config.data), imgsz=config.size, epochs=config.epochs, batch=config.batch, lr0=config.rate,
            optimizer="AdamW", seed=seed, device=device, project=str(out.resolve()), name="train", exist_ok=True,
            resume=resume, pretrained=False, amp=False, workers=0, plots=False, verbose=False,
        )  # fmt: skip
    except (
        FileNotFoundError,
        RuntimeError,
        SyntaxError,
    ) as error:  # what it raises on data that it cannot use
        raise InputError(f"ultralytics cannot train on {config.data}: {error}".splitlines()[0]) from error
    trained = library(str(out.resolve() / "train" / "weights" / "best.pt"), task="detect")
    made = trained.export(format="onnx", imgsz=config.size, dynamic=False, simplify=False)
    scores = {
        name: round(float(value), 4) for name, value in model.trainer.metrics.items() if "metrics" in name
    }
    return Path(made), scores


def _manifest(config: Config, out: Path, seed: int, scores: dict[str, float]) -> Manifest:
    provenance = (
        f"musewatch train ultralytics, {config.model} from scratch, {config.epochs} epochs, seed {seed}"
    )
    size = (config.size, config.size)
    return Manifest(
        schema=SCHEMA,
        name=config.name,
        role="detector",
        file=Path(f"{config.name}.onnx"),
        sha256=UNSAVED,
        licence=config.licence,
        provenance=provenance,
        accuracy=scores,
        preprocess=Preprocess(colour="rgb", scale=1 / 255, resize="letterbox_centre", pad=PAD, size=size),
        decoder=UltralyticsDecoder(kind="ultralytics", person_class=config.person_class),
    ).derived(out.resolve())
