"""What all commands share: how the config is named, how an answer ends the process."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import Config, load_config

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", metavar="FILE", help="Config; else $MUSEWATCH_CONFIG, else ./musewatch.yaml."
    ),
]

ANSWER_IS_NO = 1
REFUSED_INPUT = 3
OUTSIDE = 4


def config_of(path: Path | None) -> Config:
    """The config that the options and the environment name.

    Raises:
        ConfigError: It is missing or wrong.
    """
    return load_config(path or Path(os.environ.get("MUSEWATCH_CONFIG") or "musewatch.yaml"))
