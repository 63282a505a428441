"""Secrets: where they come from, and that they never leave.

Every value put in by `${NAME}` or `${file:PATH}` is remembered and taken out of all that is logged or
printed; so is the user part of any URL.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_USER_PART = re.compile(r"(?<=://)[^\s\"'<>]+@")  # up to the last @: passwords may hold / and @
_HIDDEN = "***"
_secrets: set[str] = set()


def remember(value: str) -> None:
    """Takes `value` out of everything printed from now on."""
    if value.strip():
        _secrets.add(value.strip())


def redact(text: str) -> str:
    """The text without secrets.

    >>> redact("cannot open rtsp://admin:hunter2@10.0.0.9/1")
    'cannot open rtsp://***@10.0.0.9/1'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        for shown in (secret, quote(secret, safe="")):
            text = text.replace(shown, _HIDDEN)
    return _USER_PART.sub(f"{_HIDDEN}@", text)


def redact_all(document: Any) -> Any:
    """A document of lists, mappings and scalars with every text in it redacted."""
    if isinstance(document, str):
        return redact(document)
    if isinstance(document, Mapping):
        return {key: redact_all(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [redact_all(value) for value in document]
    return document


def fill_in(text: str, where: str, base_dir: Path) -> str:
    """Replaces `${NAME}` from the environment and `${file:PATH}` from a file.

    Raises:
        ConfigError: The variable is not set, or the file cannot be read.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("file:"):
            path = base_dir / name.removeprefix("file:")
            try:
                value = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{where}: the secret file {path} cannot be read",
                    "create it, or correct the path",
                ) from error
        else:
            found = os.environ.get(name)
            if found is None:
                raise ConfigError(
                    f"{where}: the environment variable {name} is not set", f"export {name}=..."
                )
            value = found
        remember(value)
        return value

    return _REFERENCE.sub(value_of, text)
