"""`musewatch`: puts the commands together and turns errors into messages and exit codes."""

import importlib
import os
import sys
from typing import Any

import typer

from pipeline.errors import UnknownPluginError
from pipeline.output import print_json, say
from pipeline.registry import known, load

GROUPS = {"watchlist": "pipeline.cli.watchlist", "hits": "pipeline.cli.hits"}
COMMANDS = {
    "run": "pipeline.cli.run",
    "verify": "pipeline.cli.verify",
    "check": "pipeline.cli.check",
    "plugins": "pipeline.cli.plugins",
    "schema": "pipeline.cli.schema",
}


def run() -> None:
    """Entry point of the console script."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs one command line; returns its exit code."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        result = application(arguments)(arguments, prog_name="musewatch", standalone_mode=False)
    except Exception as error:
        if debug:
            raise
        return _report(error, as_json="--json" in arguments)
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def application(arguments: list[str]) -> Any:
    """The command line; of the groups only the one that is called is imported, all of them for the help."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
        help="Finds enrolled people in live camera streams.",
    )  # fmt: skip
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    names = sorted({*COMMANDS, *GROUPS, *known("command")})
    for name in [called] if called in names else names:
        _add(app, str(name))
    app.callback()(_accept_options)
    return typer.main.get_command(app)


def _accept_options() -> None:
    """Finds enrolled people in live camera streams."""


def _add(app: typer.Typer, name: str) -> None:
    if name in COMMANDS:
        app.command(name)(importlib.import_module(COMMANDS[name]).command)
    elif name in GROUPS:
        app.add_typer(importlib.import_module(GROUPS[name]).app, name=name)
    else:
        try:
            app.add_typer(load("command", name), name=name)
        except UnknownPluginError as error:
            reason = str(error)

            @app.command(name, help=f"Not available: {reason}")
            def missing() -> None:
                raise UnknownPluginError(reason)


def _report(error: Exception, *, as_json: bool) -> int:
    """One clear message instead of a traceback; the exit code that the error carries."""
    show = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    text = str(show() if show else error)
    if not isinstance(code, int):
        code, text = 1, f"unexpected {type(error).__name__}: {error}; run it again with --debug"
    if type(error).__name__ == "NoArgsIsHelpError":
        say(text)
    elif text:
        say(f"musewatch: {text}")
    if as_json:
        print_json({"ok": False, "error": text})
    return code
