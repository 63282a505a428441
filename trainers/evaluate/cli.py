"""`musewatch evaluate`: measuring, one module a command."""

import typer

from trainers.evaluate.alerts import alerts
from trainers.evaluate.features import features

app = typer.Typer(no_args_is_help=True, help="Measures the main job and its parts.")
app.command()(alerts)
app.command()(features)


@app.callback()
def _group() -> None:
    """Keeps the group a group while it has one command."""
