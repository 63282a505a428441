"""`musewatch`: puts the commands together and turns errors into messages and exit codes."""

import os
import sys
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import typer  # noqa: E402 - the environment above must be set before any plugin is imported

from pipeline.cli.common import print_json, say  # noqa: E402
from pipeline.registry import known  # noqa: E402

OWN_GROUPS = {"watchlist": "pipeline.cli.watchlist", "hits": "pipeline.cli.hits"}


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs one command line; returns its exit code."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        result = application()(arguments, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except typer.Exit as stop:
        return stop.exit_code
    except Exception as error:
        if debug:
            raise
        return _report(error, as_json="--json" in arguments)


def application() -> Any:
    """The command line with all groups; those of other packages come by entry point."""
    raise NotImplementedError  # filled in with the first commands


def _report(error: Exception, *, as_json: bool) -> int:
    code = getattr(error, "exit_code", None)
    if not isinstance(code, int):
        code = 1
        text = f"{type(error).__name__}: {error}"
        say(f"musewatch: unexpected error: {text}\nrun it again with --debug for the whole story")
    else:
        text = str(error)
        say(f"musewatch: {text}")
    if as_json:
        print_json({"ok": False, "error": text})
    return code
