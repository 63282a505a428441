"""How commands speak: one JSON document or text for people on stdout, everything about it on stderr; no secrets."""

import json
import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.secrets import redact

FREE_TEXT = {"problem", "fix", "error", "warnings"}
"""Keys of an answer whose values are written for people; all others are never rewritten."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]


class OutputError(Exception):
    """Nobody takes the answer: the disk is full, or the reader has gone."""

    exit_code = 4


def console(stderr: bool = False) -> Console:
    """A console that colours only a terminal; people's text goes to stdout, everything about it to stderr."""
    return Console(
        stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty()
    )


def print_json(document: Any) -> None:
    """The one document on stdout; free text in it is without secrets.

    Raises:
        OutputError: It cannot be written.
    """
    plain = _redacted(json.loads(json.dumps(document, default=str)))
    text = json.dumps(plain, ensure_ascii=False)
    if not _is_text(text):  # as in file names that are not UTF-8
        text = json.dumps(plain)
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        abandon_stdout()
        raise OutputError(f"the answer cannot be written to stdout: {error}") from None


def abandon_stdout() -> None:
    """Nothing that is left in it is flushed at the end into where nobody takes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """A line for the operator, on stderr where there is one."""
    if sys.stderr is not None:
        sys.stderr.write(redact(text) + "\n")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _redacted(document: Any, *, free: bool = False) -> Any:
    if isinstance(document, str):
        return redact(document) if free else document
    if isinstance(document, dict):
        return {key: _redacted(value, free=free or key in FREE_TEXT) for key, value in document.items()}
    if isinstance(document, list):
        return [_redacted(value, free=free) for value in document]
    return document
