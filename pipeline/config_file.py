"""From a YAML file to a checked `Config`, with messages an operator can act on."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.secrets import fill_in

_IN_OUR_WORDS = {
    "tuple_type": "expected a list",
    "model_type": "expected keys and values, such as {use: NAME}",
}


def load_config(path: Path) -> Config:
    """Reads and checks a config file; plugins' own keys are checked when the plugins are built.

    Raises:
        ConfigError: The file is missing, not YAML, or says something that it may not.
    """
    return parse_config(read_yaml(path), path.resolve().parent, str(path))


def parse_config(document: Any, base_dir: Path, where: str = "config") -> Config:
    """Checks a config already read; relative paths start at `base_dir`.

    Raises:
        ConfigError: It says something that it may not.
    """
    if not isinstance(document, Mapping):
        raise ConfigError(f"{where}: expected keys and values", "start with 'version: 1'")
    filled = _fill_in(document, [where], base_dir)
    try:
        return Config.model_validate(filled, context={"base_dir": base_dir})
    except ValidationError as error:
        raise ConfigError(explain(error, Config, where)) from None


def data_dir_of(path: Path) -> Path:
    """Where a config keeps its data, for programs to which the rest of it may be unknown.

    Raises:
        ConfigError: The file cannot be read, or what its `data_dir` refers to is not there.
    """
    document = read_yaml(path)
    named = document.get("data_dir") if isinstance(document, Mapping) else None
    text = str(named or Config.model_fields["data_dir"].default)
    return path.parent / Path(fill_in(text, f"{path}: data_dir", path.parent)).expanduser()


def read_yaml(path: Path) -> Any:
    """The document in a YAML file.

    Raises:
        ConfigError: Missing, unreadable or not YAML; the message has the line.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", "give another with -c FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{path}{place}: {problem}") from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """All that is wrong, one line each: path, problem, nearest known key."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        path = _path([where, *(str(part) for part in item["loc"] if not _names_a_type(part))])
        if item["type"] == "extra_forbidden":
            problem = f"unknown key{_nearest(model, item['loc'])}"
        else:
            problem = _IN_OUR_WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
        lines.append(f"{path}: {problem}")
    return "\n".join(lines)


def _names_a_type(part: int | str) -> bool:
    """Whether a part of a place is pydantic's name for one of several types, not a key."""
    return isinstance(part, str) and part.startswith(("literal[", "constrained-"))


def _path(parts: list[str]) -> str:
    head, *rest = parts
    return f"{head}: {'.'.join(rest)}" if rest else head


def _nearest(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    known = sorted(_fields_at(model, loc[:-1]))
    close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known keys: {', '.join(known)}" if known else ""


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    """Names of the fields that may stand at a place of the document."""
    models = {model}
    for part in loc:
        fields = [m.model_fields[part].annotation for m in models if str(part) in m.model_fields]  # type: ignore[index]
        inner = {found for annotation in fields for found in _models_in(annotation)}
        models = inner or models
    return {name for m in models for name in m.model_fields}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in _models_in(part)}


def _fill_in(value: Any, path: list[str], base_dir: Path) -> Any:
    if isinstance(value, str):
        return fill_in(value, _path(path), base_dir)
    if isinstance(value, Mapping):
        return {key: _fill_in(inner, [*path, str(key)], base_dir) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_in(inner, [*path, str(i)], base_dir) for i, inner in enumerate(value)]
    return value
