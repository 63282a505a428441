"""`musewatch check`: would a run start, and are people large enough?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline import build
from pipeline.cli.common import ANSWER_IS_NO
from pipeline.cli.logs import start_logging
from pipeline.config import load_config
from pipeline.desk.check import Problem, Report, check, save_snapshots
from pipeline.errors import ConfigError
from pipeline.output import JsonOption, print_json, say
from pipeline.plugged import PluggedCodec
from pipeline.secrets import redact


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Config file.")],
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", metavar="DIR", help="Leaves a still of each stream here.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Open every source, engine and sink of a config; exit 1 when something is wrong."""
    start_logging()
    try:
        loaded = load_config(config)
    except ConfigError as error:
        failed = Report([Problem.of("config", error)], [], [])
        return _show(failed, [], as_json=json, code=error.exit_code)
    report = check(loaded)
    pictures: list[Path] = []
    if snapshot is not None:
        codec = build.guest(PluggedCodec, loaded, loaded.codec)
        pictures = save_snapshots(report.sights, snapshot, codec.encode)
    return _show(report, pictures, as_json=json, code=ANSWER_IS_NO)


def _show(report: Report, pictures: list[Path], *, as_json: bool, code: int) -> int:
    problems, sights, notes = report
    if as_json:
        streams = [
            {
                "id": s.stream_id,
                "frame_size": s.frame.size,
                "people": len(s.detections),
                "heights_px": s.heights_px,
                "notes": [redact(note) for note in s.notes],
            }
            for s in sights
        ]
        found = [asdict(problem) for problem in problems]
        print_json(
            {
                "ok": not problems,
                "problems": found,
                "streams": streams,
                "snapshots": pictures,
                "notes": notes,
            }
        )
        return code if problems else 0
    for sight in sights:
        width, height = sight.frame.size
        people = ", ".join(f"{tall} px" for tall in sight.heights_px) or "nobody"
        typer.echo(f"{sight.stream_id}: {width}x{height}, in view: {people}")
        for note in sight.notes:
            say(note)
    for note in notes:
        say(note)
    for path in pictures:
        typer.echo(f"wrote {path}")
    for problem in problems:
        say(f"{problem.where}: {problem.problem}" + (f"\n    {problem.fix}" if problem.fix else ""))
    typer.echo("ok" if not problems else f"{len(problems)} problems")
    return code if problems else 0
