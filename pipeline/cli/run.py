"""`musewatch run`: watches the streams of a config and reports hits."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from pipeline.cli.common import OUTSIDE
from pipeline.cli.logs import start_logging
from pipeline.cli.signals import DrainOnSignals, Hangup
from pipeline.config import Config, parse_config
from pipeline.errors import ConfigError, words_of
from pipeline.output import JsonOption, console, print_json, say
from pipeline.runner.runner import Runner, RunSummary, Status
from pipeline.secrets import redact
from pipeline.settings import read_yaml

logger = logging.getLogger("musewatch.runner")

WINDOW_S = 2.0  # over which the status line counts frames


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
    drain, hangup = DrainOnSignals(), Hangup()

    def read() -> Config:
        return with_streams(read_yaml(config), stream or [], config)

    runner = Runner(_with_some_stream(read(), config))
    drain.by(runner.stop)
    reloading = Reloading(hangup, runner, read)
    line, show = _status(json)

    def on_status(status: Status) -> None:
        reloading.look()
        show(status)

    with line:
        summary = runner.run(duration, on_status)
    return report(summary, as_json=json)


def with_streams(document: Any, streams: list[str], path: Path) -> Config:
    """The config of a file with the streams of the command line added, or in the place of those of the same id.

    Args:
        document: What the file says.
        streams: ID=URL each.
        path: The file; relative paths start there.

    Raises:
        ConfigError: The file says something that it may not; not ID=URL, or an id that may not be.
    """
    config = parse_config(document, path.resolve().parent, str(path))
    if not streams:
        return config
    written = document.get("streams") or ()
    entries = {known.id: entry for known, entry in zip(config.streams, written, strict=True)}
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
    """Prints what a run did; its exit code.

    A camera that was never reached is a failure, unless somebody stopped the run: maybe just because of it.
    """
    if as_json:
        print_json(summary.as_json())
    else:
        for stream in summary.streams:
            counts = f"{stream.frames_in} frames, {stream.frames_inferred} inferred, {stream.dropped} dropped"
            typer.echo(f"{stream.id}: {counts}, {stream.reconnects} reconnects")
        typer.echo(f"{summary.hits} hits; {summary.outbox} events wait in the outbox")
    unreached = [stream for stream in summary.streams if stream.problem]
    for stream in unreached:
        say(f"musewatch: stream {stream.id}: {stream.problem}")
    if summary.failure is not None:
        say(f"musewatch: {summary.failure}")
        code = getattr(summary.failure, "exit_code", 1)
        return int(code)
    return OUTSIDE if summary.outbox or (unreached and not summary.stopped) else 0


def _with_some_stream(config: Config, path: Path) -> Config:
    if not config.streams:
        raise ConfigError(
            f"{path}: there are no streams", "list them under 'streams', or give --stream ID=URL"
        )
    return config


class Reloading:
    """Reads the streams again when SIGHUP has come, in a thread: whatever the file says, the run goes on meanwhile.

    Args:
        hangup: Notes the signal.
        runner: Takes the new streams.
        read: Reads the config.
    """

    def __init__(self, hangup: Hangup, runner: Runner, read: Callable[[], Config]) -> None:
        self._hangup, self._runner, self._read = hangup, runner, read
        self._reading = threading.Lock()  # the last to read has the last word

    def look(self) -> None:
        """To be called again and again; returns at once."""
        if self._hangup.taken():
            threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        with self._reading:
            try:
                self._runner.reload(self._read())
            except Exception as error:
                logger.error("the config was not reloaded: %s", redact(words_of(error)))


def _status(as_json: bool) -> tuple[AbstractContextManager[Any], Callable[[Status], None]]:
    """A live line on a terminal, nothing elsewhere."""
    if as_json or not sys.stderr.isatty():
        return nullcontext(), lambda status: None
    live = Live(console=console(stderr=True), refresh_per_second=4, transient=True)
    show = status_line()
    return live, lambda status: live.update(show(status))


def status_line(clock: Callable[[], float] = time.monotonic) -> Callable[[Status], Text]:
    """Makes the line of each status: per stream frames per second and age, then hits and what waits."""
    since_s, before, rates = clock(), dict[str, int](), dict[str, float]()

    def show(status: Status) -> Text:
        nonlocal since_s
        now_s = clock()
        if now_s - since_s >= WINDOW_S:
            for name, counts in status.streams.items():
                new = max(0, counts.frames_inferred - before.get(name, 0))  # fewer: its stream was added anew
                rates[name] = new / (now_s - since_s)
                before[name] = counts.frames_inferred
            since_s = now_s
        parts = Text()
        for name, counts in status.streams.items():
            state = f"{rates.get(name, 0.0):.1f} fps {counts.age_s * 1000:.0f} ms" if counts.up else "down"
            parts.append(f"{name} ", style="bold").append(state, style="" if counts.up else "red").append(
                "  "
            )
        parts.append(f"{status.hits} hits", style="green" if status.hits else "")
        return parts.append(f"  {status.outbox} waiting") if status.outbox else parts

    return show
