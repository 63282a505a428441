"""All data sets that can be read, by name."""

from difflib import get_close_matches
from pathlib import Path

from pipeline.errors import ConfigError
from trainers.datasets import catalogue_images, catalogue_tasks
from trainers.datasets.layout import Layout
from trainers.datasets.sample import DataSet

LAYOUTS = {layout.name: layout for layout in (*catalogue_images.LAYOUTS, *catalogue_tasks.LAYOUTS)}


def find(name: str) -> Layout:
    """The layout of that name.

    Raises:
        ConfigError: There is none; DukeMTMC was withdrawn by its authors and has none either.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    if "duke" in name.lower():
        raise ConfigError(
            "DukeMTMC was withdrawn by its authors", "musewatch does not read it; take another set"
        )
    near = get_close_matches(name.lower(), LAYOUTS, 1, 0.5)
    raise ConfigError(
        f"no data set is called {name!r}",
        f"did you mean {near[0]}?" if near else f"known: {', '.join(LAYOUTS)}",
    )


def load(name: str, folder: Path, trial: int = 1) -> DataSet:
    """A set in a folder, split officially.

    Raises:
        ConfigError: An unknown name or trial, or a set whose layout is not published.
        InputError: The folder cannot be read, or is not laid out so: what was expected, and what was found.
    """
    return find(name).load(folder, trial)
