"""Where engines are kept: those that ship with us, and those an operator added."""

import os
import shutil
import tempfile
from pathlib import Path

import yaml

from engines.errors import EngineError, ManifestError
from engines.manifest import Manifest
from pipeline.settings import data_dir_of

ZOO = Path(__file__).parent / "zoo"


class Shelf:
    """Bundled engines, and a folder with one folder for each engine added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifests(self) -> list[Path]:
        """All manifests, the bundled first."""
        return sorted(ZOO.glob("*.yaml")) + sorted(self._folder.glob("*/*.yaml"))

    def find(self, name: str) -> Path:
        """The manifest meant: a file, or the name of an engine on the shelf.

        Raises:
            ManifestError: Neither.
        """
        if Path(name).is_file():
            return Path(name)
        known = {path.stem: path for path in self.manifests()}
        if name not in known:
            raise ManifestError(
                f"there is no manifest and no engine called {name}",
                f"give a file, or one of: {', '.join(known) or 'none is added yet'}",
            )
        return known[name]

    def keep(self, manifest: Manifest, path: Path) -> Path:
        """Copies a manifest and its network, whole or not at all; returns the copy's path.

        Raises:
            EngineError: An engine of that name is there already, or the folder cannot be written.
        """
        home = self._folder / manifest.name
        if home.exists():
            raise EngineError(
                f"there is an engine {manifest.name} already: {home}",
                "give it another name, or remove that one",
            )
        document = yaml.safe_load(path.read_text(encoding="utf-8")) | {"file": manifest.file.name}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as draft:
                copy = Path(draft, manifest.name)
                copy.mkdir()
                shutil.copyfile(manifest.path, copy / manifest.file.name)
                text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
                (copy / f"{manifest.name}.yaml").write_text(text, encoding="utf-8")
                copy.rename(home)
        except OSError as error:
            raise EngineError(
                f"{home} cannot be written: {error.strerror}", "choose another data_dir"
            ) from None
        return home / f"{manifest.name}.yaml"


def open_shelf(config: Path | None) -> Shelf:
    """The shelf under the config's data_dir; under ./data where there is no config.

    Args:
        config: None = `$MUSEWATCH_CONFIG`, else ./musewatch.yaml where it is.
    """
    named = config or os.environ.get("MUSEWATCH_CONFIG")
    path = Path(named or "musewatch.yaml")
    if not named and not path.exists():
        return Shelf(Path("data", "engines"))
    return Shelf(data_dir_of(path) / "engines")
