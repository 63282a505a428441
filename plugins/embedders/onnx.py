"""Re-identification embedder from any ONNX file whose manifest says how to feed it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.manifest import load_manifest
from engines.network import VectorNetwork
from engines.sessions.base import Device
from engines.sessions.open import open_session
from engines.shelf import EnginePath, remark_on
from pipeline.settings import Settings


class OnnxEmbedder:
    """Turns crops of people into unit vectors with a network.

    Attributes:
        dimension: Length of a vector.
        engine_digest: `sha256:...` of the network.
        note: What to know of a bundled engine; None of others.
        max_distance: Cut of the manifest's operating point; None where it names none.
        min_height_px: Crops less tall are not worth embedding.

    Raises:
        EngineError: The engine cannot be used; nothing has started.
    """

    class Config(Settings):
        """Which engine, and how small a crop may be."""

        engine: EnginePath = Field(description="Manifest of an embedder, or its name in `engines list`.")
        min_height_px: int = Field(
            default=40, ge=1, le=100_000, description="Crops less tall are not embedded."
        )
        threads: int = Field(default=1, ge=1, le=256, description="Processor threads of one run.")
        device: Device = Field(default="auto", description="auto takes a GPU when there is one that works.")

    def __init__(self, config: Config) -> None:
        manifest = load_manifest(config.engine)
        self._network = VectorNetwork(
            manifest, open_session(manifest, threads=config.threads, device=config.device)
        )
        self.dimension: int = self._network.dimension
        self.engine_digest: str = manifest.digest
        self.note = remark_on(config.engine)
        self.max_distance = manifest.max_distance
        self.min_height_px: int = config.min_height_px

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops of any size.

        Raises:
            OutputError: A vector has no length or is not a number.
        """
        return self._network.embed(crops)
