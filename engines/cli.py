"""`musewatch engines`: networks listed, fetched, tried, made, judged and compared."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from engines.compile.cli import register
from engines.errors import EngineError, ManifestError
from engines.examine import examine
from engines.fetch.cli import fetch
from engines.manifest import Manifest, load_manifest
from engines.sessions.open import open_session
from engines.shelf import open_shelf
from engines.table import print_table
from pipeline.output import JsonOption, print_json

app = typer.Typer(
    no_args_is_help=True, help="Networks: list, fetch, show, add, check; made, judged and compared."
)

ANSWER_IS_NO = 1

Name = Annotated[str, typer.Argument(metavar="M", help="Manifest, or the name of a listed engine.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="Config whose data_dir holds the added engines."),
]


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Engines that ship with us and engines added."""
    rows, problems = [], []
    for path in open_shelf(config).manifests():
        try:
            rows.append(_summary(load_manifest(path), path))
        except ManifestError as error:
            problems.append(_problem(path, error))
    if as_json:
        print_json({"engines": rows, "problems": problems})
        return
    print_table(("name", "role", "max_distance", "licence", "manifest"), rows)
    for problem in problems:
        sys.stderr.write(f"musewatch: {problem['problem']}\n")


@app.command()
def show(m: Name, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What a manifest says, defaults filled in; `digest` is its identity, of the file and of how it is fed and read."""
    path = open_shelf(config).find(m)
    manifest = load_manifest(path)
    document = manifest.model_dump(mode="json", by_alias=True)
    document |= {"digest": manifest.digest, "file_digest": manifest.file_digest}
    if as_json:
        print_json({**document, "manifest": str(path)})
    else:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


@app.command()
def check(m: Name, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Loads an engine and tries it on pictures; exit code 1 when it does not fit its manifest or is of no use."""
    path = open_shelf(config).find(m)
    manifest = load_manifest(path)
    try:
        tensors = _opened(manifest)
    except EngineError as error:
        problem = _problem(path, error)
        if as_json:
            print_json({"ok": False, "problems": [problem]})
        else:
            sys.stdout.write(f"{problem['where']}: {problem['problem']}\n  {problem['fix']}\n")
        raise typer.Exit(ANSWER_IS_NO) from None
    if as_json:
        print_json({"ok": True, "problems": [], "name": manifest.name, **tensors})
    else:
        sys.stdout.write(
            f"{manifest.name} fits: {', '.join(tensors['inputs'])} -> {', '.join(tensors['outputs'])}\n"
        )


@app.command()
def add(m: Name, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tries an engine, then keeps a copy of it and its manifest under data_dir/engines."""
    path = open_shelf(config).find(m)
    manifest = load_manifest(path)
    _opened(manifest)
    kept = open_shelf(config).keep(manifest)
    if as_json:
        print_json(_summary(manifest, kept))
    else:
        sys.stdout.write(f"{manifest.name} is now {kept}\n")


app.command()(fetch)
register(app)


def _opened(manifest: Manifest) -> dict[str, list[str]]:
    """What goes in and comes out of an engine, once tried on pictures; raises `EngineError` when it is of no use."""
    if manifest.prompt is not None:
        from engines.lmm.trial import try_verifier

        return try_verifier(manifest)
    session = open_session(manifest)
    examine(manifest, session)
    return {
        "inputs": [str(spec) for spec in session.inputs],
        "outputs": [str(spec) for spec in session.outputs],
    }


def _summary(manifest: Manifest, path: Path) -> dict[str, Any]:
    point = manifest.operating_point
    return {
        "name": manifest.name,
        "role": manifest.role,
        "digest": manifest.digest,
        "licence": manifest.licence,
        "max_distance": point.max_distance if point else None,
        "manifest": str(path),
    }


def _problem(path: Path, error: EngineError) -> dict[str, str]:
    return {"where": str(path), "problem": error.problem, "fix": error.fix}
