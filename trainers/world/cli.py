"""`musewatch world`: makes data of the simulated world, with perfect truth."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ConfigError
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
HardOption = Annotated[
    str,
    typer.Option(
        help="none, like-clothes, changed-clothes, uniforms, umbrellas, wheels, groups, from-behind, low-light."
    ),
]
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


def names_of(text: str) -> list[str]:
    """A domain's name, or those of `A-B`: random-A to random-B.

    >>> names_of("3-5"), names_of("hall")
    (['random-3', 'random-4', 'random-5'], ['hall'])
    """
    from trainers.world.domains import RANDOM

    first, _, last = text.partition("-")
    if first.isdecimal() and last.isdecimal():
        return [f"{RANDOM}{number}" for number in range(int(first), int(last) + 1)]
    return [text]


@app.command()
def clips(
    out: OutArgument,
    domain: Annotated[
        str, typer.Option(help="As for the others; hall+street = people pass from one to the other.")
    ] = "hall",
    seed: SeedOption = 0,
    people: PeopleOption = 8,
    cameras: Annotated[int, typer.Option(min=1, help="Three hang in one place; more make more places.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.2, max=86400, help="Length of each clip.")] = 30.0,
    fps: Annotated[float, typer.Option(min=1, max=60, help="Frames per second.")] = 15.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "960x540",
    enrolled: Annotated[
        int | None, typer.Option(min=0, help="How many get a photograph to enrol; else half, at least one.")
    ] = None,
    hard: HardOption = "none",
    split: SplitOption = "demo",
    scene: SceneOption = None,
    style: StyleOption = None,
    wardrobe: WardrobeOption = None,
    workers: WorkersOption = None,
) -> None:
    """Clips of several cameras that people pass, with track labels, presence.csv, people.json and enrol/."""
    from trainers.world.clips import ClipsPlan, make_clips
    from trainers.world.domains import find_domain, identity_seeds
    from trainers.world.hard import darkened, find_case

    case = find_case(hard)
    if case.from_behind:
        raise ConfigError("clips show people from all sides", "use --hard from-behind with crops or scenes")
    found = tuple(darkened(find_domain(name, scene, style, wardrobe), case) for name in domain.split("+"))
    picture = size_of(size)
    identity_seeds(split, seed, people)
    enrolled = min(people, max(1, people // 2) if enrolled is None else enrolled)
    plan = ClipsPlan(out, found, split, seed, people, enrolled, cameras, seconds, fps, picture, case)
    open_output(out, {"command": "clips"} | dataclasses.asdict(plan) | {"out": "", "size": list(picture)})
    make_clips(plan, workers)


@app.command()
def crops(
    out: OutArgument,
    domain: DomainOption = "hall",
    seed: SeedOption = 0,
    people: PeopleOption = 100,
    cameras: Annotated[int, typer.Option(min=1, max=9, help="How many cameras see each person.")] = 3,
    per_camera: Annotated[int, typer.Option(min=1, help="Pictures of each person by each camera.")] = 4,
    texts: Annotated[int, typer.Option(min=1, help="Captions of each picture.")] = 3,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "128x256",
    view: Annotated[
        str, typer.Option(help="WIDTHxHEIGHT of the cameras' pictures they are cut from.")
    ] = "960x540",
    masks: Annotated[bool, typer.Option(help="A mask beside each picture.")] = True,
    least_visible: Annotated[
        float, typer.Option(min=0.05, max=1, help="Share of a body that is seen.")
    ] = 0.35,
    hard: HardOption = "none",
    keep: Annotated[
        Path | None, typer.Option(help="Folder that keeps built people for other commands.")
    ] = None,
    split: SplitOption = "train",
    scene: SceneOption = None,
    style: StyleOption = None,
    wardrobe: WardrobeOption = None,
    workers: WorkersOption = None,
) -> None:
    """Crops in the tree of Market-1501, with attributes.jsonl, captions of what is visible, and masks."""
    from trainers.world.crops import CropsPlan, make_crops
    from trainers.world.domains import find_domain, identity_seeds
    from trainers.world.hard import darkened, find_case

    if cameras == per_camera == 1:
        raise ConfigError(
            "of one picture of each person, none is left to be searched",
            "give --cameras or --per-camera 2 or more",
        )
    case = find_case(hard)
    found = darkened(find_domain(domain, scene, style, wardrobe), case)
    identity_seeds(split, seed, people)
    plan = CropsPlan(
        out,
        found,
        split,
        seed,
        people,
        cameras,
        per_camera,
        texts,
        size_of(size),
        size_of(view),
        masks,
        least_visible,
        case,
        keep,
    )
    open_output(out, {"command": "crops"} | dataclasses.asdict(plan) | {"out": "", "kept": ""})
    make_crops(plan, workers)


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(metavar="OUT.jpg", help="The picture to write.")],
    domain: DomainOption = "hall",
    seed: SeedOption = 0,
    people: PeopleOption = 8,
    per_camera: Annotated[
        int, typer.Option(min=1, max=8, help="Pictures of each person by each camera.")
    ] = 2,
    hard: HardOption = "none",
    split: SplitOption = "demo",
    scene: SceneOption = None,
    style: StyleOption = None,
    wardrobe: WardrobeOption = None,
) -> None:
    """A contact sheet: a row for each person."""
    from trainers.world.domains import find_domain
    from trainers.world.hard import find_case
    from trainers.world.sheet import make_sheet

    make_sheet(
        out, find_domain(domain, scene, style, wardrobe), split, seed, people, per_camera, find_case(hard)
    )


@app.command()
def scenes(
    out: OutArgument,
    domain: DomainOption = "hall",
    seed: SeedOption = 0,
    people: PeopleOption = 100,
    count: Annotated[int, typer.Option("--scenes", min=1, help="How many whole pictures.")] = 600,
    cameras: Annotated[int, typer.Option(min=1, max=9, help="How many cameras take them.")] = 3,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "640x360",
    keep: Annotated[
        Path | None, typer.Option(help="Folder that keeps built people for other commands.")
    ] = None,
    hard: HardOption = "none",
    split: SplitOption = "train",
    scene: SceneOption = None,
    style: StyleOption = None,
    wardrobe: WardrobeOption = None,
    workers: WorkersOption = None,
) -> None:
    """Whole pictures to find people in, by crop and text: boxes, masks, galleries of 50, 100 and 500."""
    from trainers.world.domains import find_domain, identity_seeds
    from trainers.world.hard import darkened, find_case
    from trainers.world.scenes import ScenesPlan, make_scenes

    case = find_case(hard)
    found = darkened(find_domain(domain, scene, style, wardrobe), case)
    identity_seeds(split, seed, people)
    plan = ScenesPlan(out, found, split, seed, people, count, cameras, size_of(size), keep, case)
    open_output(out, {"command": "scenes"} | dataclasses.asdict(plan) | {"out": "", "kept": ""})
    make_scenes(plan, workers)


@app.command()
def frames(
    out: OutArgument,
    domain: Annotated[
        list[str], typer.Option(help="As elsewhere; can be given several times. A-B = random-A to random-B.")
    ],
    seed: SeedOption = 0,
    people: Annotated[int, typer.Option(min=1, help="How many people in each domain.")] = 36,
    count: Annotated[int, typer.Option("--frames", min=1, help="Pictures of each domain.")] = 100,
    cameras: Annotated[int, typer.Option(min=1, help="How many cameras of each domain take them.")] = 4,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "640x360",
    split: SplitOption = "train",
    scene: SceneOption = None,
    style: StyleOption = None,
    workers: WorkersOption = None,
) -> None:
    """Single pictures of many places with everybody's box, to train and judge a detector on."""
    from trainers.world.domains import find_domain, identity_seeds
    from trainers.world.frames import FramesPlan, make_frames

    names = tuple(name for text in domain for name in names_of(text))
    for name in names:
        find_domain(name, scene, style)
    identity_seeds(split, seed, people * len(names))
    plan = FramesPlan(out, names, scene, style, split, seed, count, cameras, people, size_of(size))
    run = {"command": "frames"} | dataclasses.asdict(plan)
    open_output(out, run | {"out": "", "domains": list(names), "size": list(plan.size)})
    make_frames(plan, workers)
