"""`musewatch schema`: JSON Schema of what goes in and out."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from engines.manifest import manifest_schema
from pipeline.config import Config
from pipeline.deliver.events import hit_schema
from pipeline.deliver.tracklets import tracklet_schema
from pipeline.errors import ConfigError
from pipeline.output import print_json
from pipeline.watchlist.schemas import contents_schema, identity_schema, watchlist_schema

SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "config": Config.model_json_schema,
    "hit": hit_schema,
    "tracklet": tracklet_schema,
    "watchlist": watchlist_schema,
    "identity": identity_schema,
    "contents": contents_schema,
    "engine": manifest_schema,
}


def command(name: Annotated[str, typer.Argument(metavar="|".join(SCHEMAS))]) -> None:
    """Print a JSON Schema; `watchlist` is of exports and of both kinds of rows, `identity` and `contents`."""
    if name not in SCHEMAS:
        raise ConfigError(f"there is no schema {name!r}", f"one of {', '.join(SCHEMAS)}")
    print_json(SCHEMAS[name]())
