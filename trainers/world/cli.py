"""`musewatch world`: makes clips, crops, scenes and contact sheets of the simulated world."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ConfigError
from trainers.world.clips import ClipsPlan, make_clips
from trainers.world.domains import Domain, find_domain, identity_seeds
from trainers.world.jobs import open_output

app = typer.Typer(no_args_is_help=True, help="Makes data of the simulated world, with perfect truth.")

OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or one to go on with.")]
DomainOption = Annotated[
    str, typer.Option(help="hall, street, night, infrared, garage, park, or random-N for any.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Equal seeds make equal worlds.")]
SplitOption = Annotated[str, typer.Option(help="Whose identities: train, pretrain, calibrate, test, demo.")]
PeopleOption = Annotated[int, typer.Option(min=1, help="How many people.")]
SceneOption = Annotated[str | None, typer.Option(help="Another place than the domain's.")]
StyleOption = Annotated[str | None, typer.Option(help="Another sensor than the domain's.")]
WardrobeOption = Annotated[str | None, typer.Option(help="Other clothes than the domain's.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes; else one a core.")]


def size_of(text: str) -> tuple[int, int]:
    """`WIDTHxHEIGHT` in pixels.

    Raises:
        ConfigError: Not that, odd, or out of range.
    """
    wide, _, high = text.partition("x")
    if not (wide.isdecimal() and high.isdecimal()):
        raise ConfigError(f"{text!r} is not a picture size", "give WIDTHxHEIGHT, for example 960x540")
    size = int(wide), int(high)
    if not all(64 <= side <= 4096 and side % 2 == 0 for side in size):
        raise ConfigError(f"pictures of {text} cannot be made", "give even numbers from 64 to 4096")
    return size


def _named(domain: Domain) -> dict[str, object]:
    return dataclasses.asdict(domain)


@app.command()
def clips(
    out: OutArgument,
    domain: DomainOption = "hall",
    seed: SeedOption = 0,
    people: PeopleOption = 8,
    cameras: Annotated[int, typer.Option(min=1, help="Three hang in one place; more make more places.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.2, max=86400, help="Length of each clip.")] = 30.0,
    fps: Annotated[float, typer.Option(min=1, max=60, help="Frames per second.")] = 15.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "960x540",
    enrolled: Annotated[
        int | None, typer.Option(min=0, help="How many get a photograph to enrol; else half, at least one.")
    ] = None,
    split: SplitOption = "demo",
    scene: SceneOption = None,
    style: StyleOption = None,
    wardrobe: WardrobeOption = None,
    workers: WorkersOption = None,
) -> None:
    """Clips of several cameras that people pass, with track labels, presence.csv, people.json and enrol/."""
    found, picture = find_domain(domain, scene, style, wardrobe), size_of(size)
    identity_seeds(split, seed, people)
    enrolled = min(people, max(1, people // 2) if enrolled is None else enrolled)
    plan = ClipsPlan(out, found, split, seed, people, enrolled, cameras, seconds, fps, picture)
    open_output(out, {"command": "clips"} | dataclasses.asdict(plan) | {"out": "", "size": list(picture)})
    make_clips(plan, workers)
