"""`musewatch evaluate`: measures the main job and its parts."""

import typer

from trainers.evaluate.alerts import alerts
from trainers.evaluate.clips import clips
from trainers.evaluate.features import features
from trainers.evaluate.masks import masks
from trainers.evaluate.protocol import protocol
from trainers.evaluate.tracks import tracks

app = typer.Typer(no_args_is_help=True, help="Measures the main job and its parts.")
app.command()(alerts)
app.command()(clips)
app.command()(features)
app.command()(masks)
app.command()(protocol)
app.command()(tracks)
