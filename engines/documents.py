"""YAML documents of ours: read, and what is wrong with one, key by key."""

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from engines.errors import ManifestError


def read_document(path: Path, kind: str, where_else: str) -> Any:
    """What a YAML file says.

    Args:
        path: The file.
        kind: What it should be, for messages.
        where_else: What to do when it is not there.

    Raises:
        ManifestError: Missing, unreadable, or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"there is no {kind} {path}", where_else) from None
    except (OSError, UnicodeDecodeError):
        raise ManifestError(f"{path} is not a {kind}", "give the YAML file beside the network") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ManifestError(f"{path}{place}: {getattr(error, 'problem', None) or 'not YAML'}") from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """What a model refused, one line a key; an unknown key comes with the nearest known one.

    Args:
        error: The refusal.
        model: What the document was read as.
        where: The document, for messages.
    """
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        known, keys = _walk(item["loc"], model)
        place = f"{where}: {'.'.join(keys)}" if keys else where
        if item["type"] == "extra_forbidden":
            lines.append(f"{place}: unknown key; {_nearest(str(item['loc'][-1]), known)}")
        else:
            lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _walk(loc: tuple[int | str, ...], root: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Keys that may stand where `loc` points, and `loc` without the names of union members."""
    models: list[type[BaseModel]] = [root]
    keys = []
    for part in loc:
        chosen = [model for model in models if model.__name__ == part or _kind(model) == part]
        if chosen:
            models = chosen
            continue
        keys.append(str(part))
        inner = [field for model in models for field in _fields(model).get(str(part), [])]
        models = inner or models
    return sorted({name for model in models for name in _fields(model)}), keys


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field else None


def _fields(model: type[BaseModel]) -> dict[str, list[type[BaseModel]]]:
    """Keys of a model, each with the models that its value may be."""
    return {field.alias or name: _models_in(field.annotation) for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
