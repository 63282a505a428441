"""`musewatch init`: a first config for a camera of your own, and what to do with it."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from engines.fetch.catalogue import load_catalogue
from engines.shelf import ADDED, FOR_TRYING_OUT, Shelf
from pipeline.cli.run import source_of
from pipeline.config import parse_config
from pipeline.errors import ConfigError
from pipeline.files import make_private
from pipeline.output import JsonOption, print_json, say
from pipeline.secrets import redact
from pipeline.settings import DATA_DIR

Engines = Literal["real", "bundled"]

BUNDLED = (
    "detector: {use: onnx, engine: person-nano-int8, min_score: 0.3}",
    "embedder: {use: onnx, engine: person-small}",
)
DEMO_CLIP = Path(__file__).parents[1] / "configs" / "demo_clips" / "hall-1.mp4"
WEBCAM = Path("/dev/video0")

TEMPLATE = """\
# A first config, by `musewatch init`. Every key: docs/config.md
version: 1
data_dir: {data_dir}                  # watchlist, outbox, evidence, fetched engines
streams:
  - {{id: camera, source: {source}}}
{engines}
sinks:
  - {{use: jsonl, path: hits.jsonl}}
"""


def init(
    camera: Annotated[
        str | None,
        typer.Option(
            "--camera", metavar="URL", help="rtsp://..., a recording, a folder, or a camera's number."
        ),
    ] = None,
    engines: Annotated[
        Engines | None,
        typer.Option("--engines", help="Fetched or bundled ones; else the fetched, where they are here."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", metavar="FILE", help="Where to; else $MUSEWATCH_CONFIG, else ./musewatch.yaml."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a first config that `check` accepts, for a camera or, where none is given, for what there is to see."""
    path = config or Path(os.environ.get("MUSEWATCH_CONFIG") or "musewatch.yaml")
    if path.exists():
        raise ConfigError(f"{path} is there already", "give another with -c FILE, or remove it")
    folder = path.resolve().parent
    chosen, lines = _engines(engines, Shelf(folder / DATA_DIR / ADDED))
    text = TEMPLATE.format(data_dir=DATA_DIR, source=_flow(_source(camera)), engines="\n".join(lines))
    parse_config(yaml.safe_load(text), folder, str(path))
    _write(path, text)
    steps = _next_steps(path)
    if as_json:
        print_json({"config": str(path), "engines": chosen, "next": steps})
        return
    say(f"wrote {path}, for {redact(str(camera or 'what there is to see'))} with the {chosen} engines; next:")
    typer.echo("\n".join(steps))
    if chosen == "bundled":
        say(FOR_TRYING_OUT)


def _engines(wanted: Engines | None, shelf: Shelf) -> tuple[Engines, Sequence[str]]:
    """Which engines, and the lines of the config that name them.

    Raises:
        ConfigError: Others are asked for than there are.
    """
    pair = load_catalogue().find("real")
    missing = [entry.name for entry in pair if not shelf.home_of(entry.name).is_dir()]
    if wanted == "real" and missing:
        raise ConfigError(
            f"{' and '.join(missing)} are not in {shelf.folder}",
            "fetch them first: musewatch engines fetch real; or say --engines bundled",
        )
    if wanted == "bundled" or missing:
        return "bundled", BUNDLED
    return "real", [entry.line() for entry in pair]


def _source(camera: str | None) -> dict[str, Any]:
    """The source of the one stream.

    Raises:
        ConfigError: None is given and there is nothing to see on this machine.
    """
    if camera is not None:
        return source_of(camera)
    if WEBCAM.exists():
        return source_of(str(WEBCAM))
    if DEMO_CLIP.exists():
        return source_of(str(DEMO_CLIP))
    raise ConfigError("there is no camera on this machine", "give one: --camera rtsp://...")


def _flow(source: dict[str, Any]) -> str:
    """A mapping on one line of YAML."""
    return yaml.safe_dump(
        source, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1e9
    ).strip()


def _write(path: Path, text: str) -> None:
    """Writes the file for its owner alone: the address of a camera may hold a password."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_private(path)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}", "give another with -c FILE"
        ) from None


def _next_steps(path: Path) -> list[str]:
    """The commands that follow."""
    name = shlex.quote(str(path))
    return [
        f"musewatch check {name} --snapshot snapshots",
        f"musewatch watchlist add -c {name} --id anna --image anna.jpg",
        f"musewatch run {name}",
    ]
