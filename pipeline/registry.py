"""Plugins by role and name, found through entry points."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.errors import ConfigError, UnknownPluginError
from pipeline.extras import cure
from pipeline.settings import PluginChoice, checked, nearest

ROLES = (
    "source", "detector", "tracker", "embedder", "index", "verifier", "masker", "codec", "sink", "bus",
    "projection", "store", "rerank", "command",
)  # fmt: skip


@cache
def known(role: str) -> dict[str, EntryPoint]:
    """Entry points of a role by name, ours and other people's.

    Raises:
        ConfigError: Two installed packages claim one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"musewatch.{role}"):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"two plugins call themselves {role} {point.name!r}: {other.value} and {point.value}",
                "uninstall one of them",
            )
    return dict(sorted(found.items()))


def load(role: str, name: str) -> Any:
    """The class behind a plugin's name.

    Raises:
        UnknownPluginError: No such entry point, its library is missing, or its file is broken.
    """
    points = known(role)
    if name not in points:
        raise UnknownPluginError(
            f"no {role} is called {name!r}; known: {', '.join(points) or 'none'}{nearest(name, points)}",
            "install the package that brings it, or reinstall it if the entry point is new",
        )
    try:
        return points[name].load()
    except ImportError as error:
        raise UnknownPluginError(
            f"{role} {name!r} cannot be loaded: {error}",
            cure(points[name].extras)  # as its entry point says: "module:Class [extra]"
            if points[name].extras
            else "install the package that brings its library",
        ) from error
    except Exception as error:
        raise UnknownPluginError(
            f"{role} {name!r} cannot be loaded: {type(error).__name__}: {error}",
            f"mend {points[name].value}, or the entry point",
        ) from error


def build(role: str, choice: PluginChoice, base_dir: Path, where: str, data_dir: Path | None = None) -> Any:
    """A plugin made from its part of the config.

    Args:
        role: Which kind.
        choice: `use` and the plugin's own keys.
        base_dir: Where relative paths start.
        where: Path in the config, for messages.
        data_dir: Where the config keeps its data, added engines among it; None = it has no such folder.

    Raises:
        ConfigError: A key is unknown, missing or wrong; or the plugin refused to start.
    """
    plugin = load(role, choice.use)
    return plugin(settings_of(plugin, choice, base_dir, where, data_dir))


def settings_of(
    plugin: Any, choice: PluginChoice, base_dir: Path, where: str, data_dir: Path | None = None
) -> BaseModel:
    """The plugin's own settings, checked.

    Raises:
        ConfigError: With the path of the key, and the nearest known one.
    """
    if not hasattr(plugin, "Config"):
        raise ConfigError(
            f"{where}: {choice.use!r} has no Config", "nest a pydantic model of that name in the class"
        )
    model: type[BaseModel] = plugin.Config
    return checked(model, choice.settings, where, {"base_dir": base_dir, "data_dir": data_dir})
