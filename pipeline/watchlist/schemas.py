"""JSON Schema of everything that carries a watchlist: an export, and the two kinds of rows on the shared topic."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline.watchlist import contents, shared
from pipeline.watchlist.contents import Contents
from pipeline.watchlist.exchange import Listing
from pipeline.watchlist.shared import SharedIdentity

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WATCHLIST_URN = "urn:musewatch:watchlist:1"


def identity_schema() -> dict[str, Any]:
    """Of the row of one identity; fields may be added to, so unknown ones are allowed."""
    return _of(SharedIdentity, shared.SCHEMA_URN)


def contents_schema() -> dict[str, Any]:
    """Of the contents row; fields may be added to, so unknown ones are allowed."""
    return _of(Contents, contents.SCHEMA_URN)


def watchlist_schema() -> dict[str, Any]:
    """Of an export's `watchlist.json` or a row on the topic, told apart by their `schema`."""
    kinds: tuple[type[BaseModel], ...] = (Listing, SharedIdentity, Contents)
    references, definitions = models_json_schema([(kind, "validation") for kind in kinds])
    for kind in kinds:
        _mark(definitions["$defs"][kind.__name__])
    return {
        "$schema": _DIALECT,
        "$id": _WATCHLIST_URN,
        "title": "musewatch watchlist",
        "type": "object",
        "oneOf": [references[kind, "validation"] for kind in kinds],
        **definitions,
    }


def _of(kind: type[BaseModel], urn: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "$id": urn, **_mark(kind.model_json_schema())}


def _mark(schema: dict[str, Any]) -> dict[str, Any]:
    """Makes the mark that says what a document is one that must be there."""
    schema["properties"]["schema"].pop("default", None)
    schema["required"] = ["schema", *(key for key in schema["required"] if key != "schema")]
    return schema
