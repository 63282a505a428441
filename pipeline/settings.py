"""Documents that come from outside: YAML read, held against a pydantic model, and what is wrong named key by key."""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from pipeline.errors import ConfigError, MusewatchError
from pipeline.secrets import fill_in
from pipeline.strict_yaml import YamlError, parse_yaml

DATA_DIR = Path("data")
"""Where a config keeps its data when it does not say so."""

MAX_YAML_BYTES = 1_000_000
LONG_S = 1e9
"""Seconds, over 30 years: as good as no limit, and still a time that can be waited for."""
LARGE = 1_000_000_000
"""As good as no limit for whatever is counted."""

Model = TypeVar("Model", bound=BaseModel)

_IN_OUR_WORDS = {
    "tuple_type": "expected a list",
    "model_type": "expected keys and values, such as {use: NAME}",
    "string_type": "expected text; put it in quotation marks",
    "finite_number": "expected a number; for no limit give a large one",
    "invalid_key": "expected text as a key; put it in quotation marks",
}
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SCALARS = {"str", "int", "float", "bool"}


def _from_config_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base_dir")
    return path if base is None else Path(base, path.expanduser())


ConfigPath = Annotated[Path, AfterValidator(_from_config_file)]
"""A path that starts at the config file; for plugins too."""


class Settings(BaseModel):
    """Base of every part of the config, and of a plugin's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PluginChoice(BaseModel):
    """`use` names the plugin, every other key is the plugin's own and checked by it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(min_length=1, description="Entry-point name of the plugin.")

    @property
    def settings(self) -> dict[str, Any]:
        """The plugin's own keys."""
        return dict(self.model_extra or {})


def choose(name: str, /, **settings: Any) -> PluginChoice:
    """A choice made in code."""
    return PluginChoice.model_validate({"use": name, **settings})


def read_yaml(
    path: Path,
    kind: str = "file",
    where_else: str = "give another with -c FILE",
    refusal: type[MusewatchError] = ConfigError,
) -> Any:
    """The document in a YAML file.

    Args:
        path: The file.
        kind: What it should be, for messages.
        where_else: What to do when it is not there.
        refusal: What is raised.

    Raises:
        ConfigError: Missing, unreadable or not YAML; the message has the line. Or `refusal` for the same reasons.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_YAML_BYTES + 1)
        if len(data) > MAX_YAML_BYTES:
            raise refusal(f"{path} has more than {MAX_YAML_BYTES} bytes: not a {kind}")
        return parse_yaml(data.decode("utf-8-sig"))
    except FileNotFoundError:
        raise refusal(f"there is no {kind} {path}", where_else) from None
    except OSError as error:
        raise refusal(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise refusal(f"{path}, line {line}: not a {kind}, which is text in UTF-8") from None
    except YamlError as error:
        at = f", line {error.line}, column {error.column}" if error.line else ""
        raise refusal(f"{path}{at}: {error}") from None


def checked(
    model: type[Model],
    document: Any,
    where: str,
    context: Mapping[str, Any] | None = None,
    refusal: type[MusewatchError] = ConfigError,
) -> Model:
    """A document as a model.

    Args:
        model: What it should be.
        document: Lists, mappings and scalars.
        where: Where it stands, for messages.
        context: For the model's validators.
        refusal: What is raised.

    Raises:
        ConfigError: It says something that it may not; all of it is named. Or `refusal` for the same reason.
    """
    if not isinstance(document, Mapping):
        raise refusal(f"{where}: expected keys and values", _first_line(model))
    odd = next(_odd_texts(document, []), None)
    if odd is not None:
        raise refusal(f"{place(where, odd)}: a character that is no text, such as NUL")
    try:
        return model.model_validate(document, context=context)
    except ValidationError as error:
        raise refusal(explain(error, model, where)) from None


def refuse_endless(document: Any, where: str) -> None:
    """Looks for numbers that are not finite, also where a plugin of somebody else reads them.

    Raises:
        ConfigError: With the key of the first.
    """
    odd = next(_endless(document, []), None)
    if odd is not None:
        raise ConfigError(f"{place(where, odd)}: {_IN_OUR_WORDS['finite_number']}")


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
        if item["type"] == "extra_forbidden":
            problem = f"unknown key{_nearest(str(item['loc'][-1]), known)}"
        else:
            problem = _IN_OUR_WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
        lines.append(f"{place(where, keys)}: {problem}")
    return "\n".join(lines)


def place(where: str, keys: list[str]) -> str:
    """A key of a document, for messages.

    >>> place("c.yaml", ["decision", "margin"])
    'c.yaml: decision.margin'
    """
    return f"{where}: {'.'.join(keys)}" if keys else where


def data_dir_of(path: Path) -> Path:
    """Where a config keeps its data, for programs to which the rest of it may be unknown.

    Raises:
        ConfigError: The file cannot be read, or what its `data_dir` refers to is not there.
    """
    document = read_yaml(path)
    named = document.get("data_dir") if isinstance(document, Mapping) else None
    text = fill_in(str(named or DATA_DIR), place(str(path), ["data_dir"]), path.parent)
    return path.parent / Path(text).expanduser()


def _odd_texts(document: Any, keys: list[str]) -> Iterator[list[str]]:
    """Places of texts that no file, address or database takes."""
    for place_of, value in _scalars(document, keys):
        if isinstance(value, str) and _NO_TEXT.search(value):
            yield place_of


def _endless(document: Any, keys: list[str]) -> Iterator[list[str]]:
    for place_of, value in _scalars(document, keys):
        if isinstance(value, float) and not math.isfinite(value):
            yield place_of


def _scalars(value: Any, keys: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Every key and scalar with its place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield keys, key
            yield from _scalars(inner, [*keys, str(key)])
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _scalars(inner, [*keys, str(i)])
    else:
        yield keys, value


def _first_line(model: type[BaseModel]) -> str:
    """What such a document starts with, where its first key can only have one value."""
    name, field = next(iter(model.model_fields.items()))
    values = get_args(field.annotation)
    return f"start with '{field.alias or name}: {values[0]}'" if len(values) == 1 else ""


def _walk(loc: tuple[int | str, ...], root: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Keys that may stand where `loc` points, and `loc` without pydantic's names of a union's members."""
    models: list[type[BaseModel]] = [root]
    keys = []
    for part in loc:
        inner = [field for model in models for field in _fields(model).get(str(part), [])]
        is_key = any(str(part) in _fields(model) for model in models)
        chosen = [model for model in models if part in (model.__name__, _kind(model))]
        if chosen and not is_key:
            models = chosen
        elif is_key or not _names_a_type(part):
            keys.append(str(part))
            models = inner or models
    return sorted({name for model in models for name in _fields(model)}), keys


def _names_a_type(part: int | str) -> bool:
    """Whether a part of a place is pydantic's name for one of several types, not a key."""
    return isinstance(part, str) and ("[" in part or part.startswith("constrained-") or part in _SCALARS)


def _kind(model: type[BaseModel]) -> str | None:
    """What tells a model from others of its union."""
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field else ()
    return str(values[0]) if values else None


def _fields(model: type[BaseModel]) -> dict[str, list[type[BaseModel]]]:
    """Keys of a model, each with the models that its value may be."""
    return {field.alias or name: _models_in(field.annotation) for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: the known one that it looks like, empty where there is none.

    >>> nearest("frigat", ["frigate", "nv"])
    "; did you mean 'frigate'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _nearest(key: str, known: list[str]) -> str:
    return nearest(key, known) or (f"; known keys: {', '.join(known)}" if known else "")
