"""A trained network on disk is an engine of safetensors: `network.yaml`, its manifest, and `weights.safetensors`.

The weights are replaced first and the manifest last, each file at once; a save that was cut off in between is seen by
the manifest's digest. Nothing here is ever a pickle.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from engines.architectures import load_network
from engines.files import write_engine
from engines.manifest import CARD, WEIGHTS, Manifest, load_manifest

if TYPE_CHECKING:
    import torch


def save_checkpoint(folder: Path, module: "torch.nn.Module", manifest: Manifest) -> Manifest:
    """Writes a network; one that is there already is replaced.

    Args:
        folder: Made when missing.
        module: On any device; tensors that share memory are written once each.
        manifest: Of `weights.safetensors`; its digest is replaced by that of these weights.

    Returns:
        The manifest, as it was written.

    Raises:
        EngineFileError: The folder cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()
    }
    return write_engine(manifest.derived(folder.absolute(), file=WEIGHTS), save(tensors), CARD)


def load_checkpoint(folder: Path) -> "tuple[torch.nn.Module, Manifest]":
    """The network, on the processor and in eval mode, and its manifest.

    Raises:
        ManifestError: The manifest is missing or says something that it may not, or its network is not known here.
        EngineFileError: The weights are missing, damaged, a pickle, or another network's.
    """
    manifest = load_manifest(folder)
    return load_network(manifest), manifest
