"""Architectures by name: torch networks built through the entry points `musewatch.network`, and filled with weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engines.errors import EngineFileError, ManifestError
from engines.files import checked_network
from engines.manifest import Manifest
from pipeline.errors import ConfigError
from pipeline.extras import cure
from pipeline.registry import load as load_entry_point

if TYPE_CHECKING:
    import torch

NAMED = 3  # tensors that a message names


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


def load_network(manifest: Manifest) -> "torch.nn.Module":
    """The network of a manifest whose file is safetensors, with its weights, on the processor and in eval mode.

    The weights are mapped, not read: a file of gigabytes is in memory once.

    Raises:
        ManifestError: Its network is not known here, or the file is of another kind.
        EngineFileError: The weights are missing, damaged, a pickle, or another network's; or torch is not installed.
    """
    where = f"engine {manifest.name}: {manifest.path}"
    if manifest.network is None:
        raise ManifestError(f"{where} is no file of weights with the key network")
    path = checked_network(manifest)
    try:
        import torch  # noqa: F401
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise EngineFileError(
            f"{where}: torch is not installed, and it alone runs .safetensors",
            f"{cure(['train'])}; or give an .onnx file",
        ) from None
    module = build_network(manifest.network.use, manifest.network.arguments, where)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise EngineFileError(
            f"{where}: the weights are damaged: {error}", "get the whole file again, or save it again"
        ) from None
    difference = _difference(module.state_dict(), tensors)
    if difference:
        raise EngineFileError(
            f"{where}: the weights are not this network's: {difference}",
            "correct the network's arguments, or give the weights that were saved with them",
        )
    module.load_state_dict(tensors)
    return module.eval()


def _find(use: str, where: str) -> Any:
    try:
        return load_entry_point("network", use)
    except ConfigError as error:
        raise ManifestError(f"{where}: {error.problem}", error.fix) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _difference(wanted: "Mapping[str, torch.Tensor]", given: "Mapping[str, torch.Tensor]") -> str:
    """What is missing, too many or of another shape; empty when nothing is."""
    missing = [name for name in wanted if name not in given]
    strange = sorted(name for name in given if name not in wanted)
    reshaped = [
        f"{name} {tuple(given[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in given and wanted[name].shape != given[name].shape
    ]
    found = (("missing", missing), ("unknown", strange), ("of another shape", reshaped))
    return "; ".join(f"{fault}: {_some(names)}" for fault, names in found if names)


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
