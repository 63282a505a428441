"""`musewatch`: puts the commands together and turns errors into messages and exit codes."""

import importlib
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer

from pipeline.cli.modules import summary
from pipeline.extras import cure, extra_of

COMMANDS = {
    "run": "pipeline.cli.run",
    "verify": "pipeline.cli.verify",
    "check": "pipeline.cli.check",
    "watchlist": "pipeline.cli.watchlist",
    "hits": "pipeline.cli.hits",
    "plugins": "pipeline.cli.plugins",
    "schema": "pipeline.cli.schema",
}
"""Commands of the pipeline, by module; those of other packages come by entry point."""

_WHOLE = 1000  # characters of a sentence that are never cut


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


class Group(typer.core.TyperGroup):
    """A group whose help shows the whole first sentence of every command, over several lines where it must."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes them; typer's own way cuts them off at the end of the line."""
        if lines := self.lines(ctx):
            with formatter.section("Commands"):
                formatter.write_dl(lines)

    def lines(self, ctx: Any) -> list[tuple[str, str]]:
        """Name and sentence of each command."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [(name, command.get_short_help_str(_WHOLE)) for name, command in commands if command]


class _Overview(Group):
    """The program's own help: every command by the first line of its module, none of them imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours and other people's."""
        return sorted({*COMMANDS, *_points()})

    def lines(self, ctx: Any) -> list[tuple[str, str]]:
        """Name and first line of each."""
        return [(name, _said_of(name)) for name in self.list_commands(ctx)]


def application(arguments: list[str]) -> Any:
    """The command line; of the commands only the one that is called is imported."""
    app = typer.Typer(
        cls=_Overview, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        rich_markup_mode=None, help="Finds enrolled people in live camera streams.",
    )  # fmt: skip
    app.callback()(_accept_options)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    if called in COMMANDS or called in _points():
        _add(app, str(called))
    return typer.main.get_command(app)


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="musewatch.command")}


def _said_of(name: str) -> str:
    try:
        return summary(COMMANDS.get(name) or _points()[name].module)
    except SyntaxError:
        return "(cannot be read)"


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"musewatch {version('musewatch')}")
        raise typer.Exit


def _accept_options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; stands anywhere.")
    ] = False,
) -> None:
    """Finds enrolled people in live camera streams."""


def _add(app: typer.Typer, name: str) -> None:
    if name in COMMANDS:
        module = importlib.import_module(COMMANDS[name])
        found = getattr(module, "app", None) or module.command
    else:
        from pipeline.registry import load

        found = load("command", name)
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name, cls=Group)
    else:
        app.command(name)(found)


def _report(error: Exception, *, as_json: bool) -> int:
    """One clear message instead of a traceback; the exit code that the error carries."""
    from pipeline.output import OutputError, print_json, say

    show = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    text = str(show() if show else error)
    if isinstance(error, ModuleNotFoundError) and (extra := extra_of(str(error.name))):
        code, text = 2, f"this needs {error.name}, which is not installed. {cure([extra])}"
    if not isinstance(code, int):
        code, text = 1, f"unexpected {type(error).__name__}: {error}; run it again with --debug"
    if type(error).__name__ == "NoArgsIsHelpError":
        say(text)
    elif text:
        say(f"musewatch: {text}")
    if as_json and not isinstance(error, OutputError):
        print_json({"ok": False, "error": text})
    return code
