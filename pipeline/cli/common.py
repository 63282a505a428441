"""What all commands share: options, where output goes, how an answer ends the process."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.config import Config
from pipeline.config_file import load_config
from pipeline.secrets import redact, redact_all

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", metavar="FILE", help="Config; else $MUSEWATCH_CONFIG, else ./musewatch.yaml."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]

ANSWER_IS_NO = 1
REFUSED_INPUT = 3
STILL_WAITING = 4


def console(stderr: bool = False) -> Console:
    """A console that colours only a terminal; people's text goes to stdout, everything about it to stderr."""
    return Console(
        stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty()
    )


def config_of(path: Path | None) -> Config:
    """The config that the options and the environment name.

    Raises:
        ConfigError: It is missing or wrong.
    """
    return load_config(path or Path(os.environ.get("MUSEWATCH_CONFIG") or "musewatch.yaml"))


def print_json(document: Any) -> None:
    """The one document on stdout."""
    plain = json.loads(json.dumps(document, default=str))
    sys.stdout.write(json.dumps(redact_all(plain), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for the operator, on stderr."""
    sys.stderr.write(redact(text) + "\n")
