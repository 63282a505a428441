"""`musewatch run`: watches the streams of a config and reports hits."""

import logging
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from pipeline.cli.common import STILL_WAITING
from pipeline.cli.logs import start_logging
from pipeline.cli.signals import DrainOnSignals
from pipeline.cli.status import status_line
from pipeline.config import Config, load_config, parse_config
from pipeline.errors import ConfigError
from pipeline.output import JsonOption, console, print_json, say
from pipeline.runner.runner import Runner, RunSummary, Status
from pipeline.secrets import redact
from pipeline.settings import read_yaml


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Config file.")],
    stream: Annotated[
        list[str] | None,
        typer.Option(
            "--stream", metavar="ID=URL", help="A stream to add, or another source for one; repeatable."
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0, metavar="S", help="Stop after so many seconds.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Watch the streams of a config and report hits; recordings end by themselves, ctrl-c drains."""
    start_logging()
    drain = DrainOnSignals()

    def read() -> Config:
        return with_streams(load_config(config), read_yaml(config), stream or [], config)

    runner = Runner(_with_some_stream(read(), config))
    drain.by(runner.stop)
    _reload_on_signal(runner, read)
    line, on_status = _status(json)
    with line:
        summary = runner.run(duration, on_status)
    return report(summary, as_json=json)


def with_streams(config: Config, document: Any, streams: list[str], path: Path) -> Config:
    """The config with the streams of the command line added, or put in the place of those of the same id.

    Raises:
        ConfigError: Not ID=URL, or an id that may not be.
    """
    if not streams:
        return config
    entries = {entry["id"]: entry for entry in document.get("streams") or ()}
    for text in streams:
        name, separator, url = text.partition("=")
        if not separator or not url:
            raise ConfigError(f"--stream {redact(text)!r} is not ID=URL", "e.g. --stream door=rtsp://host/1")
        entries[name] = {**entries.get(name, {"id": name}), "source": source_of(url)}
    changed = {**document, "streams": list(entries.values())}
    return parse_config(changed, path.resolve().parent, str(path))


def source_of(url: str) -> dict[str, Any]:
    """The source that a URL, a device number, a folder or a file on the command line means."""
    if url.startswith(("rtsp://", "rtsps://")):
        return {"use": "rtsp", "url": url}
    if url.isdigit() or url.startswith("/dev/video"):
        return {"use": "camera", "device": int(url) if url.isdigit() else url}
    place = Path(url).resolve()
    return {"use": "folder" if place.is_dir() else "file", "path": str(place)}


def report(summary: RunSummary, *, as_json: bool) -> int:
    """Prints what a run did; its exit code."""
    if as_json:
        print_json(summary.as_json())
    else:
        for stream in summary.streams:
            counts = f"{stream.frames_in} frames, {stream.frames_inferred} inferred, {stream.dropped} dropped"
            typer.echo(f"{stream.id}: {counts}, {stream.reconnects} reconnects")
        typer.echo(f"{summary.hits} hits; {summary.outbox} events wait in the outbox")
    if summary.failure is not None:
        say(f"musewatch: {summary.failure}")
        code = getattr(summary.failure, "exit_code", 1)
        return int(code)
    return STILL_WAITING if summary.outbox else 0


def _with_some_stream(config: Config, path: Path) -> Config:
    if not config.streams:
        raise ConfigError(
            f"{path}: there are no streams", "list them under 'streams', or give --stream ID=URL"
        )
    return config


def _reload_on_signal(runner: Runner, read: Callable[[], Config]) -> None:
    """SIGHUP reads the streams again."""

    def again(_: int, __: object) -> None:
        try:
            runner.reload(read())
        except ConfigError as error:
            logging.getLogger("musewatch.runner").error("the config was not reloaded: %s", error)

    signal.signal(signal.SIGHUP, again)


def _status(as_json: bool) -> tuple[AbstractContextManager[Any], Callable[[Status], None] | None]:
    """A live line on a terminal, nothing elsewhere."""
    if as_json or not sys.stderr.isatty():
        return nullcontext(), None
    live = Live(console=console(stderr=True), refresh_per_second=4, transient=True)
    show = status_line()
    return live, lambda status: live.update(show(status))
