"""Architectures by name: the builders of torch networks, found through the entry points `musewatch.network`."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from engines.errors import ManifestError

if TYPE_CHECKING:
    import torch


def build_network(use: str, arguments: Mapping[str, Any], where: str) -> "torch.nn.Module":
    """A network with weights that mean nothing yet; torch's random numbers are left where they were.

    Args:
        use: Name of the entry point; its callable takes `arguments` and returns the module.
        arguments: Keywords of that callable.
        where: Who asks for it, for messages.

    Raises:
        ManifestError: No architecture of that name is installed, its libraries are missing, or it refuses
            the arguments.
    """
    builder = _find(use, where)
    import torch

    try:
        with torch.random.fork_rng():
            module: torch.nn.Module = builder(**arguments)
    except Exception as error:  # a builder is other people's code
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ManifestError(
            f"{where}: network {use!r} cannot be built from ({given}): {type(error).__name__}: {_line(error)}",
            "correct its arguments, or use the version of the code that it was saved with",
        ) from error
    return module


def _find(use: str, where: str) -> Any:
    points = {point.name: point for point in entry_points(group="musewatch.network")}
    if use not in points:
        raise ManifestError(
            f"{where}: no network is called {use!r}; known: {', '.join(sorted(points)) or 'none'}",
            "install the package that brings it, or reinstall it if the entry point is new",
        )
    try:
        return points[use].load()
    except ImportError as error:
        raise ManifestError(
            f"{where}: network {use!r} cannot be loaded: {error}",
            "install the training extra: pip install -e '.[train]' in the checkout",
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
