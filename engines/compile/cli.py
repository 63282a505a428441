"""`musewatch engines export | calibrate | build | compare`: engines made, held to their reference, compared."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engines.errors import EngineError
from engines.manifest import Manifest, TensorRt, load_manifest
from engines.shelf import open_shelf
from pipeline.output import JsonOption, print_json, say

Images = Annotated[
    list[Path] | None,
    typer.Option("--images", metavar="DIR", help="Pictures of the kind that it will see; repeatable."),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="DIR", help="Labelled pictures: Market-1501 tree, or a detector's scenes."
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the new engine.")]
Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="Config whose data_dir holds the added engines."),
]
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Checkpoint folder, manifest, or listed engine.")
]


def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder with network.yaml, or a verifier's manifest.")
    ],
    out: Out,
    as_json: JsonOption = False,
) -> None:
    """Writes a trained network for onnxruntime, checked against torch, and its manifest."""
    say(f"exporting {checkpoint}: written by torch, then held against it")
    if load_manifest(checkpoint).prompt is not None:
        from engines.lmm.export import export_verifier

        made = export_verifier(checkpoint, out)
    else:
        from engines.export import export_onnx

        made = export_onnx(checkpoint, out)
    _say_made(made, out, as_json)


def calibrate(
    m: Annotated[str, typer.Argument(metavar="M", help="Manifest of an .onnx of float32, or listed engine.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Calibration to write.")],
    images: Images = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures to look at.")] = 256,
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Measures how large a network's activations get, for `build --calibration`."""
    from engines.compile.build import picture_engine
    from engines.compile.calibrate import calibrate as measure
    from engines.compile.calibrate import save_calibration
    from engines.compile.pictures import choose
    from engines.files import read_network

    manifest = picture_engine(open_shelf(config).find(m))
    say(f"calibrating {manifest.name} on {count} pictures at most")
    found = measure(manifest, read_network(manifest), choose(_needed(images), count))
    save_calibration(found, out)
    if as_json:
        print_json({"calibration": str(out), "engine": found.engine, "pictures": len(found.pictures)})
    else:
        sys.stdout.write(f"{out}: {len(found.activations)} activations on {len(found.pictures)} pictures\n")


def build(
    source: Source,
    out: Out,
    precision: Annotated[
        Literal["fp32", "fp16", "bf16", "int8", "fp8"], typer.Option(help="What it computes in.")
    ] = "fp32",
    format_: Annotated[
        Literal["onnx", "openvino", "tensorrt", "torch"],
        typer.Option("--format", help="openvino, tensorrt: an .onnx that it runs where it is installed."),
    ] = "onnx",
    images: Images = None,
    labels: Labels = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Made by `calibrate`; else made here.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Layers that stay float32; repeatable.")
    ] = None,
    target: Annotated[
        Literal["cpu", "tensorrt"] | None,
        typer.Option(
            help="Where int8 must be fast: unsigned activations for processors, signed for TensorRT."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="H,W", help="Of a detector: the shape of the streams that it will see."),
    ] = None,
    profile: Annotated[
        tuple[int, int, int], typer.Option(help="TensorRT: smallest, usual, largest batch.")
    ] = (1, 8, 32),
    name: Annotated[str | None, typer.Option(help="Of the new engine.")] = None,
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Makes an engine of another precision; exit code 1 when it strays too far from its reference."""
    from engines.compile.build import Order
    from engines.compile.build import build as make
    from engines.compile.calibrate import load_calibration

    order = Order(
        source=open_shelf(config).find(source),
        out=out,
        precision=precision,
        format=format_,
        images=tuple(images or ()),
        labels=labels,
        calibration=load_calibration(calibration) if calibration else None,
        keep=tuple(keep or ()),
        target=target,
        size=_pixels(size) if size else None,
        tensorrt=TensorRt(profile=profile),
        name=name,
    )
    say(f"building {precision} of {order.source}: made, then judged against its reference")
    _say_made(make(order), out, as_json)


def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="M...", help="Checkpoints, manifests, listed engines.")
    ],
    images: Images = None,
    labels: Labels = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, max=1024, help="To measure; repeatable.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads of one run.")] = 1,
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Size, latency, throughput and likeness to the first, on every runtime that a format has."""
    from engines.compile.build import JUDGED, picture_engine
    from engines.compile.compare import BATCHES, Task
    from engines.compile.compare import compare as measure
    from engines.compile.pictures import choose

    engines = [picture_engine(open_shelf(config).find(source)) for source in sources]
    pictures = list(choose(images, JUDGED).values()) if images else []
    say(f"measuring {', '.join(engine.name for engine in engines)}: some seconds for each batch and runtime")
    rows = measure(engines, Task(pictures, labels, tuple(sorted(set(batch or BATCHES))), threads))
    if as_json:
        print_json({"rows": rows})
    else:
        sys.stdout.write(as_table(rows))


def as_table(rows: list[dict[str, Any]]) -> str:
    """The rows of `compare` for people."""
    batches = sorted({int(size) for row in rows for size in row.get("per_second", {})})
    measures = [key for key in ("cosine", "agreement") if any(key in row for row in rows)]
    scores = sorted({key for row in rows for key in row.get("scores", {})})
    head = [
        "name",
        "precision",
        "runtime",
        "MB",
        "ms",
        *(f"per s, batch {n}" for n in batches),
        *measures,
        *scores,
    ]
    lines = [head]
    for row in (row for row in rows if "not_measured" not in row):
        start = [row["name"], row["precision"], row["runtime"], row["megabytes"]]
        speeds = [row["per_second"].get(str(size), "-") for size in batches]
        figures = [
            *(row.get(key, "-") for key in measures),
            *(row.get("scores", {}).get(key, "-") for key in scores),
        ]
        lines.append([str(cell) for cell in (*start, row["latency_ms"], *speeds, *figures)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*table, *_gaps(rows)]) + "\n"


def _gaps(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each runtime that could not be had, and why."""
    gaps: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if "not_measured" in row:
            gaps.setdefault((row["runtime"], row["not_measured"]), []).append(row["name"])
    return [f"{runtime}: not measured: {why} ({', '.join(names)})" for (runtime, why), names in gaps.items()]


def register(app: typer.Typer) -> None:
    """Puts the commands beside `list`, `show`, `add` and `check`."""
    for command in (export, calibrate, build, compare):
        app.command()(command)


def _needed(images: list[Path] | None) -> list[Path]:
    if not images:
        raise EngineError("there are no pictures to calibrate with", "name folders of them: --images DIR")
    return images


def _pixels(text: str) -> tuple[int, int]:
    """Height and width.

    Raises:
        EngineError: They are not two whole numbers of a size that a picture may have.
    """
    found = re.fullmatch(r"([0-9]{1,4})[,x]([0-9]{1,4})", text)
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(sides) < 8:
        raise EngineError(f"--size {text!r} is no height and width in pixels", "as in: --size 256,416")
    return sides


def _say_made(manifest: Manifest, out: Path, as_json: bool) -> None:
    path = out / f"{manifest.name}.yaml"
    gate = manifest.accuracy.get("gate")
    if as_json:
        print_json({"name": manifest.name, "manifest": str(path), "digest": manifest.digest, "gate": gate})
    else:
        judged = (
            ", ".join(f"{key} {value}" for key, value in gate.items()) if gate else "not judged: no --images"
        )
        sys.stdout.write(f"{path}: {manifest.precision}, {judged}\n")
