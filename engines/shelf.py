"""Where engines are kept: those that ship with us, and those an operator added."""

import os
import re
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from engines.errors import EngineError, ManifestError
from engines.files import replace_file
from engines.manifest import CARD, Manifest, as_yaml
from pipeline.settings import DATA_DIR, data_dir_of

ZOO = Path(__file__).parent / "zoo"
ADDED = "engines"
"""Folder of the added ones in a data_dir."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
FOR_TRYING_OUT = (
    "the bundled engines are for trying out: made without labels of real people, they miss many of them "
    "(docs/experiments.md); for real cameras: musewatch engines fetch real"
)
SUFFIXES = {".yaml", ".yml", ".json"}


class Shelf:
    """Bundled engines, and a folder with one folder for each engine added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def manifests(self) -> list[Path]:
        """All manifests, the bundled first."""
        return sorted(ZOO.glob("*.yaml")) + sorted(self.folder.glob("*/*.yaml"))

    def find(self, name: str) -> Path:
        """The manifest meant: a file, that of a checkpoint's folder, or the name of an engine on the shelf.

        Raises:
            ManifestError: Neither.
        """
        for path in (Path(name), Path(name, CARD)):
            if path.is_file():
                return path
        known = {path.stem: path for path in self.manifests()}
        if name not in known:
            raise ManifestError(
                f"there is no manifest and no engine called {name}",
                f"give a file, or one of: {', '.join(known) or 'none is added yet'}",
            )
        return known[name]

    def home_of(self, name: str) -> Path:
        """The folder of an added engine, whether it is there or not."""
        return self.folder / name

    def keep(self, manifest: Manifest) -> Path:
        """Copies a manifest and its files, whole or not at all; returns the copy's path.

        Raises:
            EngineError: An engine of that name is there already, or the folder cannot be written.
        """
        home = self.home_of(manifest.name)
        if home.exists():
            raise EngineError(
                f"there is an engine {manifest.name} already: {home}",
                "give it another name, or remove that one",
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as draft:
                copy = Path(draft, manifest.name)
                kept = manifest.derived(copy, file=manifest.file.name)
                for source, place in zip(manifest.paths, kept.paths, strict=True):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    replace_file(place, source)
                (copy / f"{manifest.name}.yaml").write_text(as_yaml(kept), encoding="utf-8")
                copy.rename(home)
        except OSError as error:
            raise EngineError(
                f"{home} cannot be written: {error.strerror}", "choose another data_dir"
            ) from None
        return home / f"{manifest.name}.yaml"


def remark_on(manifest: Path) -> str | None:
    """What an operator should know of an engine: where it is a bundled one, what it is good for."""
    return FOR_TRYING_OUT if manifest.resolve().parent == ZOO else None


def open_shelf(config: Path | None) -> Shelf:
    """The shelf under the config's data_dir; under ./data where there is no config.

    Args:
        config: None = `$MUSEWATCH_CONFIG`, else ./musewatch.yaml where it is.
    """
    named = config or os.environ.get("MUSEWATCH_CONFIG")
    path = Path(named or "musewatch.yaml")
    if not named and not path.exists():
        return Shelf(DATA_DIR / ADDED)
    return Shelf(data_dir_of(path) / ADDED)


def _of_a_config(named: Path, info: ValidationInfo) -> Path:
    """The manifest that a config names: a path from its folder, or the name of an engine on its shelf."""
    context = info.context or {}
    base = Path(context.get("base_dir") or ".")
    path = base / named.expanduser()
    if path.exists() or not NAME.fullmatch(str(named)) or named.suffix in SUFFIXES:
        return path
    try:
        return Shelf(Path(context.get("data_dir") or base / DATA_DIR) / ADDED).find(str(named))
    except ManifestError as error:
        raise ValueError(f"{error.problem}; {error.fix}") from None


EnginePath = Annotated[Path, AfterValidator(_of_a_config)]
"""The manifest of an engine in a config, by its path or by its name in `musewatch engines list`; for plugins too."""
