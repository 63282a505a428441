"""Secrets: where they come from, and that they never leave.

Hidden in free text (messages, errors, the log): the user part and the secret query keys of any address, values of keys
that are named like a secret, whatever a config gives as one, and everything from `${file:PATH}`. Ids, names and
other fields of machine-readable answers are never rewritten.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pipeline.errors import ConfigError

MAX_FILE_BYTES = 65_536

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_USER_PART = re.compile(r"(?<=://)[^\s\"'<>]+@")  # up to the last @: passwords may hold / and @
_ASSIGNED = re.compile(r"([?&;]?)\b([A-Za-z][\w.-]{0,63})=('[^']*'|[^\s\"'<>&;,)]+)")
_BEARER = re.compile(r"(?i)\b(bearer |authorization: *(?:[a-z]+ +)?)\S+")
_SECRET = re.compile(
    r"passw|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|signature|credential"
)
_SECRET_IN_A_QUERY = {"key", "pass", "pw", "auth", "sig", "code", "session", "sid"}
_ALL_SECRET = {"headers", "authorization"}
_HIDDEN = "***"
_SHORT = 6  # characters; a secret like this may be part of any word
_secrets: set[str] = set()


def remember(value: str) -> None:
    """Takes `value` out of everything printed from now on."""
    if value.strip():
        _secrets.add(value.strip())


def remembered() -> frozenset[str]:
    """All of them, for a process that prints too."""
    return frozenset(_secrets)


def remember_those_in(document: Any, *, secret: bool = False) -> None:
    """Remembers what a config gives as a secret: by the name of its key, in a query, before the @ of an address.

    Args:
        document: Lists, mappings and scalars.
        secret: Everything in it is one.
    """
    if isinstance(document, Mapping):
        for key, value in document.items():
            name = str(key).lower()
            remember_those_in(value, secret=secret or name in _ALL_SECRET or _names_a_secret(name))
    elif isinstance(document, list | tuple):
        for value in document:
            remember_those_in(value, secret=secret)
    elif isinstance(document, str):
        if secret:
            remember(document)
        elif "://" in document:
            _remember_those_of(document)


def redact(text: str) -> str:
    """Free text without secrets.

    >>> redact("cannot open rtsp://admin:hunter2@10.0.0.9/1?token=abc&channel=2")
    'cannot open rtsp://***@10.0.0.9/1?token=***&channel=2'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        for shown in {secret, quote(secret, safe="")}:
            text = _without(text, shown)
    text = _ASSIGNED.sub(_hide_assigned, _USER_PART.sub(f"{_HIDDEN}@", text))
    return _BEARER.sub(rf"\1{_HIDDEN}", text)


def fill_in(text: str, where: str, base_dir: Path) -> str:
    """Replaces `${NAME}` from the environment and `${file:PATH}` from a file, which is remembered as a secret.

    Raises:
        ConfigError: The variable is not set, or the file cannot be read.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("file:"):
            value = _read(base_dir / name.removeprefix("file:"), where)
            remember(value)
            return value
        found = os.environ.get(name)
        if found is None:
            shown = name if name.isprintable() else repr(name)
            raise ConfigError(f"{where}: the environment variable {shown} is not set", f"export {shown}=...")
        return found

    return _REFERENCE.sub(value_of, text)


def _read(path: Path, where: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        raise ConfigError(
            f"{where}: the secret file {str(path)!r} cannot be read", "create it, or correct the path"
        ) from error
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError(f"{where}: the secret file {path} has more than {MAX_FILE_BYTES} characters")
    return text.strip()


def _names_a_secret(name: str) -> bool:
    return _SECRET.search(name.lower().replace("-", "_")) is not None


def _remember_those_of(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError:  # whoever opens it says so
        return
    _, _, password = parts.netloc.rpartition("@")[0].partition(":")
    found = [value for name, value in parse_qsl(parts.query) if _is_secret_in_a_query(name)]
    for value in (password, unquote(password), *found):
        remember(value)


def _is_secret_in_a_query(name: str) -> bool:
    return _names_a_secret(name) or name.lower() in _SECRET_IN_A_QUERY


def _hide_assigned(match: re.Match[str]) -> str:
    before, name, _ = match.groups()
    hidden = _is_secret_in_a_query(name) if before else _names_a_secret(name)
    return f"{before}{name}={_HIDDEN}" if hidden else match[0]


def _without(text: str, shown: str) -> str:
    if len(shown) >= _SHORT:
        return text.replace(shown, _HIDDEN)
    return re.sub(rf"(?<![^\W_]){re.escape(shown)}(?![^\W_])", _HIDDEN, text)
