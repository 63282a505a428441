"""`musewatch hits`: what left, whether the sinks take it, what they refused."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline import build, registry
from pipeline.cli.common import OUTSIDE, ConfigOption, config_of
from pipeline.config import Config
from pipeline.deliver import outbox
from pipeline.deliver.events import encode, trial_event
from pipeline.deliver.forms import HIT, need_event
from pipeline.deliver.relay import publish_once
from pipeline.errors import ConfigError, InputError, words_of
from pipeline.output import JsonOption, abandon_stdout, console, print_json, say
from pipeline.protocols import Readable, Sink
from pipeline.secrets import redact
from pipeline.settings import PluginChoice, choose
from pipeline.watchlist.records import is_plain

app = typer.Typer(no_args_is_help=True, help="What was found: tail, test, refused.")

_WAIT_S = 0.1


@app.command()
def tail(
    config: ConfigOption = None,
    bootstrap: Annotated[
        str | None, typer.Option(metavar="H:P", help="Read from Kafka, without a config.")
    ] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="T", help="With --bootstrap; else musewatch.hits.")
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="F.jsonl", help="Read from a file.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="What is there already, too.")] = False,
    maximum: Annotated[
        int | None, typer.Option("--max", min=1, metavar="N", help="Stop after N events.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Stop after S quiet seconds.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows events as they come.

    Reads --file, else --bootstrap, else the first sink of the config that can be read. JSON Lines with --json.
    """
    events = _reader(config, bootstrap, topic, file).read(from_start)
    try:
        _show_all(events, maximum, timeout, as_json=as_json)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # the reader of our output has gone; nothing is left to be flushed into it
        abandon_stdout()


@app.command("test")
def try_sinks(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Sends one event of type musewatch.test through every sink.

    JSON: {"ok", "sinks": [{"sink", "ok", "error"}]}; exit 4 unless all confirm.
    """
    settings = config_of(config)
    event = trial_event(settings.site, datetime.now(UTC))
    sinks = build.sinks(settings)
    if not sinks:
        raise ConfigError("the config has no sinks", "add one under 'sinks'")
    errors = {name: _try(sink, event, settings.outbox.answer_s) for name, sink in sinks.items()}
    ok = not any(errors.values())
    if as_json:
        rows = [{"sink": name, "ok": error is None, "error": error} for name, error in errors.items()]
        print_json({"ok": ok, "sinks": rows})
    else:
        table = Table("sink", "answer")
        for name, error in errors.items():
            table.add_row(name, error or "took it")
        console().print(table, markup=False)
    if not ok:
        raise typer.Exit(OUTSIDE)


@app.command("refused")
def list_refused(
    config: ConfigOption = None,
    send_again: Annotated[
        bool,
        typer.Option("--send-again", help="Have the sinks asked again: by a run that goes on, or the next."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Events that a sink has refused for good; they stay in the outbox.

    JSON: {"refused": [{"sink", "id", "reason"}], "sent_again"}.
    """
    path = config_of(config).outbox_path
    rows = [{"sink": row.sink, "id": row.event["id"], "reason": row.reason} for row in outbox.refused(path)]
    again = outbox.send_again(path) if send_again else 0
    if as_json:
        print_json({"refused": rows, "sent_again": again})
        return
    for row in rows:
        sys.stdout.write(f"{row['sink']:<10}  {row['id']:<40}  {row['reason']}\n")
    sys.stdout.write(f"refused: {len(rows)}{f'; wait again: {again}' if send_again else ''}\n")


def _reader(config: Path | None, bootstrap: str | None, topic: str | None, file: Path | None) -> Readable:
    given = [name for name, value in (("-c", config), ("--bootstrap", bootstrap), ("--file", file)) if value]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} exclude each other", "give one of them")
    if topic and not bootstrap:
        raise ConfigError("--topic says nothing without --bootstrap", "give --bootstrap HOST:PORT too")
    if file:
        if not file.is_file():
            raise InputError(f"there is no file {file}")
        return _built(choose("jsonl", path=file.resolve()), Path.cwd(), "--file")
    if bootstrap:
        named = {"topic": topic} if topic else {}
        return _built(choose("kafka", bootstrap=bootstrap, **named), Path.cwd(), "--bootstrap")
    return _first_readable(config_of(config))


def _first_readable(config: Config) -> Readable:
    others = []
    for i, choice in enumerate(config.sinks):
        if issubclass(registry.load("sink", choice.use), Readable):
            if choice.form != HIT:
                others.append(f"sinks.{i} ({choice.use}) has as: {choice.form}")
                continue
            say(f"reading from sinks.{i}: {choice.use}")
            return _built(choice, config.base_dir, f"sinks.{i}")
    if others:
        raise ConfigError(
            f"no sink of the config can be read: {', '.join(others)}",
            f"hits are read back as: {HIT} alone; add such a sink",
        )
    raise ConfigError("no sink of the config can be read", "give --file or --bootstrap")


def _built(choice: PluginChoice, base_dir: Path, where: str) -> Readable:
    sink: Readable = registry.build("sink", choice, base_dir, where)
    return sink


def _show_all(
    events: Iterator[dict[str, Any] | None], maximum: int | None, timeout_s: float | None, *, as_json: bool
) -> None:
    shown = 0
    quiet_since_s: float | None = None
    for event in events:
        if event is None:
            now_s = time.monotonic()
            quiet_since_s = now_s if quiet_since_s is None else quiet_since_s
            if timeout_s is not None and now_s - quiet_since_s >= timeout_s:
                return
            time.sleep(_WAIT_S)
            continue
        quiet_since_s = None
        need_event(event, "what was read")
        if as_json:
            sys.stdout.write(encode(event).decode() + "\n")
        else:
            if shown == 0:
                sys.stdout.write(_line("time", "stream", "state", "identity", "distance", "where") + "\n")
            sys.stdout.write(_line(*_cells(event)) + "\n")
        sys.stdout.flush()
        shown += 1
        if shown == maximum:
            return


def _line(time_: str, stream: str, state: str, identity: str, distance: str, where: str) -> str:
    line = f"{time_:<24}  {stream:<14}  {state:<18}  {identity:<22}  {distance:>8}  {where}".rstrip()
    return "".join(char if is_plain(char) else "\N{REPLACEMENT CHARACTER}" for char in line)


def _cells(event: dict[str, Any]) -> tuple[str, str, str, str, str, str]:
    """Time, stream, state, identity, distance, place; of an event that is no hit what it has of them."""
    when, stream = str(event.get("time", "")), str(event.get("partitionkey", ""))
    try:
        return when, stream, *_hit_cells(event["data"])
    except (LookupError, TypeError, ValueError, OverflowError):
        return when, stream, str(event.get("type", "")), "", "", ""


def _hit_cells(data: dict[str, Any]) -> tuple[str, str, str, str]:
    who, best = data["identity"], data["best"]
    state = data["state"] if data["reason"] is None else f"{data['state']}: {data['reason']}"
    name = f"{who['id']} {who['name']}" if who["name"] and who["name"] != who["id"] else who["id"]
    left, top, right, bottom = (round(edge) for edge in best["box"])
    where = f"{right - left}x{bottom - top} at {left},{top}, {best['pts_s']:.2f} s"
    if data.get("continued_from") is not None:
        where += f", track {data['track_id']} after {data['continued_from']}"
    return state, name, f"{data['decision']['distance']:.3f}", where


def _try(sink: Sink, event: dict[str, Any], answer_s: float) -> str | None:
    """What went wrong, or None."""
    try:
        publish_once(sink, [event], answer_s)
    except Exception as error:
        return redact(words_of(error))
    return None
