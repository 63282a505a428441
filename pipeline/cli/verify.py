"""`musewatch verify`: joins the group that identifies what `run` publishes."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.common import OUTSIDE
from pipeline.cli.logs import start_logging
from pipeline.cli.signals import DrainOnSignals, Hangup
from pipeline.config import load_config
from pipeline.output import JsonOption, print_json, say
from pipeline.runner.member import Member, MemberSummary


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Config file.")],
    duration: Annotated[
        float | None, typer.Option("--duration", min=0, metavar="S", help="Stop after so many seconds.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Join the group that identifies tracklets, and report hits; ctrl-c drains.

    JSON: {"hits", "outbox"}.
    """
    start_logging()
    drain = DrainOnSignals()
    Hangup()  # nothing to read again
    member = Member(load_config(config))
    drain.by(member.stop)
    return report(member.run(duration), as_json=json)


def report(summary: MemberSummary, *, as_json: bool) -> int:
    """Prints what a member did; its exit code."""
    if as_json:
        print_json(summary.as_json())
    else:
        typer.echo(f"{summary.hits} hits; {summary.outbox} events wait in the outbox")
    if summary.failure is not None:
        say(f"musewatch: {summary.failure}")
        return int(getattr(summary.failure, "exit_code", 1))
    return OUTSIDE if summary.outbox else 0
