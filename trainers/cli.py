"""`musewatch train`: trains networks; each job ends with a checkpoint."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from pipeline.settings import checked, read_yaml

app = typer.Typer(no_args_is_help=True, help="Trains networks; each job ends with a checkpoint folder.")

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML; see configs/training.")]
OutOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The run's folder; else build/train/NAME.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Equal seeds give equal runs.")]
DeviceOption = Annotated[str, typer.Option(help="What torch calls a device: cpu, cuda.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]

Settings = TypeVar("Settings", bound=BaseModel)


def read_config(model: type[Settings], path: Path) -> Settings:
    """A training config; relative paths start at the file.

    Raises:
        ConfigError: It cannot be read, or says something that it may not; all of it is named.
    """
    return checked(model, read_yaml(path), str(path), {"base_dir": path.resolve().parent})


@app.command()
def encoder(
    config: ConfigArgument,
    out: OutOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    resume: ResumeOption = False,
) -> None:
    """An embedder of people: identity, prototype, contrastive and triplet losses."""
    from trainers.encoder import Config, train_encoder

    folder = train_encoder(read_config(Config, config), _out(out, config), seed, device, resume)
    typer.echo(folder)


@app.command()
def detector(
    config: ConfigArgument,
    out: OutOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    resume: ResumeOption = False,
) -> None:
    """A person detector, from pictures of `musewatch world frames`."""
    from trainers.detector import Config, train_detector

    folder = train_detector(read_config(Config, config), _out(out, config), seed, device, resume)
    typer.echo(folder)


@app.command()
def ultralytics(
    config: ConfigArgument,
    out: OutOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    resume: ResumeOption = False,
) -> None:
    """A detector of the ultralytics library from your own data (extra agpl); ends with an engine."""
    from trainers.detector_ultralytics import Config, train_ultralytics

    manifest = train_ultralytics(read_config(Config, config), _out(out, config), seed, device, resume)
    typer.echo(manifest)


def _out(out: Path | None, config: Path) -> Path:
    return out or Path("build", "train", config.stem)
