"""Writes docs/config.md: every key of a config and of every plugin, from their JSON schemas."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.registry import ROLES, known, load
from pipeline.settings import PluginChoice

PAGE = Path(__file__).parents[2] / "docs" / "config.md"
NO_SETTINGS = {"projection", "rerank", "command"}

HEAD = """# Config

Written by `make reference`.

One YAML file. Unknown keys are refused with their path and the nearest known key; relative paths start at the file.
A role (`detector`, `source`, a sink...) names a plugin with `use`; its other keys are that plugin's. `musewatch schema
config` prints the schema, `musewatch check` tries it all. `configs/` has examples.

What can be read in two ways is refused with line and column: a key that stands twice, `010` and `1:30` as numbers, a
date that no calendar has, aliases without end. Numbers have bounds and are never `.inf`: 1000000000 s are 30 years.

`${NAME}` comes from the environment, `${file:PATH}` from a secret file, which is never printed. Nor are the user part
and the secret query keys of any address, headers, and values of keys that are named like a secret (password, token,
API key), wherever they come from; other values from the environment are shown as they are, and ids always.
"""


def page() -> str:
    """The whole page."""
    schema = Config.model_json_schema()
    chosen = {key: value.use for key, value in Config(version=1) if isinstance(value, PluginChoice)}
    for key, use in chosen.items():
        schema["properties"][key]["default"] = f"{{use: {use}}}"
    parts = [HEAD, "## The file\n", table(schema, schema)]
    for key, value in schema["properties"].items():
        inner = resolved(value.get("items", value), schema)
        if set(inner.get("properties", {})) - {"use"}:
            title = f"`{key}`" + (", each" if "items" in value else "")
            parts += [f"## {title}\n", f"{said(inner)}\n", table(inner, schema)]
    for role in ROLES:
        if role not in NO_SETTINGS:
            parts += [f"## Plugins: {role}\n", *(plugin(role, name) for name in known(role))]
    return "\n".join(parts)


def plugin(role: str, name: str) -> str:
    """One plugin with its keys."""
    found = load(role, name)
    extras = "".join(f" (extra `{extra}`)" for extra in known(role)[name].extras)
    what = (found.__doc__ or "").strip().partition("\n")[0]
    schema = found.Config.model_json_schema()
    keys = table(schema, schema) if schema.get("properties") else "No keys.\n"
    return f"### `use: {name}`{extras}\n\n{what}\n\n{keys}"


def table(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A line a key."""
    lines = ["| key | takes | default | |", "|---|---|---|---|"]
    for key, value in part["properties"].items():
        shown = default(value) if key not in part.get("required", ()) else "**needed**"
        lines.append(f"| `{key}` | {takes(value, schema)} | {shown} | {said(value)} |")
    return "\n".join(lines) + "\n"


def said(value: Mapping[str, Any]) -> str:
    """Its description, in one line."""
    return " ".join(str(value.get("description", "")).split()).replace("|", "\\|")


def default(value: Mapping[str, Any]) -> str:
    """What holds when the key is left out."""
    found = value.get("default", "")
    if found == "" or isinstance(found, dict):
        return ""
    return f"`{'null' if found is None else str(found).lower() if isinstance(found, bool) else found}`"


def takes(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The type and the range of a value."""
    value = resolved(value, schema)
    if "anyOf" in value or "oneOf" in value:
        return " or ".join(dict.fromkeys(takes(one, schema) for one in value.get("anyOf") or value["oneOf"]))
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum") or [value["const"]])
    if "use" in value.get("properties", {}):
        return "a plugin"
    if value.get("type") == "array":
        return f"list of {takes(value['items'], schema)}" if "items" in value else "list"
    kinds = {"object": "keys", "string": "text", "integer": "whole number", "boolean": "true, false"}
    kind = (
        "path"
        if value.get("format") == "path"
        else kinds.get(value.get("type", ""), value.get("type", "anything"))
    )
    return " ".join([kind, *bounds(value)])


def bounds(value: Mapping[str, Any]) -> Iterator[str]:
    """The range of a number."""
    for key, sign in (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    ):
        if key in value:
            yield f"{sign} {value[key]:g}"


def resolved(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference points at."""
    reference = value.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else value


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
