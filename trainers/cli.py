"""`musewatch train`: trains networks; each job ends with a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from pipeline.settings import checked, read_yaml

app = typer.Typer(no_args_is_help=True, help="Trains networks; each job ends with a checkpoint folder.")

ConfigArgument = Annotated[Path, typer.Argument(metavar="FILE", help="YAML; see configs/training.")]
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


@dataclass(frozen=True, slots=True)
class Job:
    """A training job: `Config` of its module, and a function of that config, a folder, a seed, a device, resume."""

    module: str
    function: str
    about: str


JOBS = {
    "encoder": Job(
        "trainers.encoder",
        "train_encoder",
        "An embedder of people: identity, prototype, contrastive and triplet losses.",
    ),
    "detector": Job(
        "trainers.detector", "train_detector", "A person detector, from pictures of `musewatch world frames`."
    ),
    "captions": Job(
        "trainers.captioned",
        "train_captions",
        "An embedder that reads: pictures of people against what is said of them.",
    ),
    "verifier": Job(
        "trainers.verifier",
        "train_verifier",
        "A language model that looks at two pictures: Qwen-VL, tuned on pairs that are hard for an embedder.",
    ),
    "ultralytics": Job(
        "trainers.detector_ultralytics",
        "train_ultralytics",
        "A detector of the ultralytics library from your own data (extra agpl); ends with an engine.",
    ),
}


def _command(job: Job) -> Callable[..., None]:
    def train(
        config: ConfigArgument,
        out: OutOption = None,
        seed: SeedOption = 0,
        device: DeviceOption = "cpu",
        resume: ResumeOption = False,
    ) -> None:
        module = import_module(job.module)
        folder = out or Path("build", "train", config.stem)
        typer.echo(
            getattr(module, job.function)(read_config(module.Config, config), folder, seed, device, resume)
        )

    return train


for _name, _job in JOBS.items():
    app.command(_name, help=_job.about)(_command(_job))
