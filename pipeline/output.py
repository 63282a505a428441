"""How commands speak: one JSON document or text for people on stdout, everything about it on stderr; no secrets."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.secrets import redact

FREE_TEXT = {"problem", "fix", "error", "warnings"}
"""Keys of an answer whose values are written for people; all others are never rewritten."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]


def console(stderr: bool = False) -> Console:
    """A console that colours only a terminal; people's text goes to stdout, everything about it to stderr."""
    return Console(
        stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty()
    )


def print_json(document: Any) -> None:
    """The one document on stdout; free text in it is without secrets."""
    plain = json.loads(json.dumps(document, default=str))
    sys.stdout.write(json.dumps(_redacted(plain), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for the operator, on stderr."""
    sys.stderr.write(redact(text) + "\n")


def _redacted(document: Any, *, free: bool = False) -> Any:
    if isinstance(document, str):
        return redact(document) if free else document
    if isinstance(document, dict):
        return {key: _redacted(value, free=free or key in FREE_TEXT) for key, value in document.items()}
    if isinstance(document, list):
        return [_redacted(value, free=free) for value in document]
    return document
