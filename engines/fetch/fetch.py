"""An engine of the catalogue onto the shelf: its files by digest, converted, tried, kept with a manifest."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from engines.errors import EngineError, EngineFileError, ManifestError
from engines.examine import examine
from engines.fetch.catalogue import Build, Entry, Published
from engines.fetch.download import download, fits
from engines.files import checked_network, write_engine
from engines.manifest import Manifest, load_manifest
from engines.sessions.open import open_session
from engines.shelf import Shelf
from pipeline.errors import ConfigError, InputError

DOWNLOADS = ".downloads"
"""Folder of unfinished downloads beside the engines."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An engine that is on the shelf now.

    Attributes:
        entry: What the catalogue says of it.
        manifest: Of the engine as it is kept.
        path: The manifest's file.
        new: Whether this call brought it.
    """

    entry: Entry
    manifest: Manifest
    path: Path
    new: bool


def fetch(entry: Entry, shelf: Shelf, given: Sequence[Path] = (), accepted: bool = False) -> Fetched:
    """Brings an engine from its publisher, or from files that are here.

    Args:
        entry: Of the catalogue.
        shelf: Where it is kept, under its name.
        given: Files, or folders with them, to take instead of the network.
        accepted: Whether narrower terms were accepted.

    Raises:
        ConfigError: The terms were not accepted.
        InputError: A file is another one than the catalogue says, or is not among the given.
        OutsideError: The publisher cannot be reached.
        EngineError: It does not fit its manifest; or another engine has its name.
    """
    if entry.terms and not accepted:
        raise ConfigError(
            f"{entry.name} comes under narrower terms: {entry.terms}",
            "say --accept-terms if you may use it so; nothing was fetched",
        )
    home = shelf.home_of(entry.name)
    if home.exists():
        return _there(entry, home)
    try:
        shelf.folder.mkdir(parents=True, exist_ok=True)
        with (
            _downloads(entry, shelf) as downloads,
            tempfile.TemporaryDirectory(dir=shelf.folder, prefix=".") as draft,
        ):
            sources = _given(entry, given) if given else _downloaded(entry, downloads)
            return _kept(entry, sources, Path(draft), shelf)
    except OSError as error:
        raise EngineError(
            f"{home} cannot be written: {error.strerror or error}", "choose another data_dir"
        ) from None


def _kept(entry: Entry, sources: dict[Published, tuple[Path, Build]], draft: Path, shelf: Shelf) -> Fetched:
    network = _converted(entry, [path for path, _ in sources.values()])
    name = Path(entry.files[0].name).with_suffix(".onnx").name
    manifest = write_engine(entry.drafted(draft / name, _provenance(entry, sources)), network)
    examine(manifest, open_session(manifest))
    path = shelf.keep(manifest)
    return Fetched(entry, load_manifest(path), path, new=True)


def _there(entry: Entry, home: Path) -> Fetched:
    """The engine that is on the shelf already, when it is this one and whole."""
    path = home / f"{entry.name}.yaml"
    with suppress(ManifestError, EngineFileError):
        manifest = load_manifest(path)
        from_here = all(
            any(build.digest[1] in manifest.provenance for build in file.builds) for file in entry.files
        )
        if from_here and checked_network(manifest):
            return Fetched(entry, manifest, path, new=False)
    raise EngineError(
        f"{home} is there already, and is another engine, or damaged", "remove it, then fetch again"
    )


def _downloaded(entry: Entry, folder: Path) -> dict[Published, tuple[Path, Build]]:
    return {file: (download(file, folder), file) for file in entry.files}


def _given(entry: Entry, given: Sequence[Path]) -> dict[Published, tuple[Path, Build]]:
    """Each file of an engine among those given, found by its digest, whatever its name is."""
    paths = _files_of(given)
    found = {}
    for file in entry.files:
        match = _match(file, paths)
        if match is None:
            algorithm, digest = file.digest
            looked_at = ", ".join(path.name for path in paths[:5]) or "no file at all"
            raise InputError(
                f"{entry.name}: {file.name} ({file.bytes} bytes, {algorithm} {digest}) is not among "
                f"what --from gives: {looked_at}",
                f"fetch it from {file.url}",
            )
        found[file] = match
    return found


def _match(file: Published, paths: Sequence[Path]) -> tuple[Path, Build] | None:
    try:
        return next(((path, build) for build in file.builds for path in paths if fits(path, build)), None)
    except OSError as error:
        raise InputError(f"--from: {error.filename} cannot be read: {error.strerror}") from None


def _files_of(given: Sequence[Path]) -> list[Path]:
    """The given files; of a folder its files, and of a network in OpenVINO's two files the other one too."""
    paths: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            paths |= dict.fromkeys(sorted(each for each in path.iterdir() if each.is_file()))
        elif path.is_file():
            twins = (path, path.with_suffix(".xml"), path.with_suffix(".bin"))
            paths |= dict.fromkeys(each for each in twins if each.is_file())
        else:
            raise InputError(f"--from {path}: there is no such file", "give a file or a folder")
    return list(paths)


def _converted(entry: Entry, sources: Sequence[Path]) -> bytes | Path:
    if entry.convert == "none":
        return sources[0]
    made: bytes = import_module(f"engines.fetch.{entry.convert}").to_onnx(*sources)
    return made


def _provenance(entry: Entry, sources: dict[Published, tuple[Path, Build]]) -> str:
    """Where the engine comes from and how: publisher, addresses and digests."""
    parts = [f"{entry.publisher}; trained on: {entry.licences.data}"]
    for file, (_, build) in sources.items():
        algorithm, digest = build.digest
        origin = file.url if build is file else f"another build of {file.url} ({build.said_by})"
        parts.append(f"{file.name} {algorithm} {digest}, {origin}")
    if entry.convert != "none":
        parts.append(f"made ONNX by musewatch engines fetch ({entry.convert})")
    return "; ".join(parts)


@contextmanager
def _downloads(entry: Entry, shelf: Shelf) -> Iterator[Path]:
    """Where downloads lie until the engine is kept; what is not whole stays there for the next call."""
    folder = shelf.folder / DOWNLOADS
    try:
        yield folder
        for file in entry.files:
            (folder / file.name).unlink(missing_ok=True)
    finally:
        with suppress(OSError):
            folder.rmdir()
