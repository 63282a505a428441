"""Embedder `captions`: an engine that sees people, and the tower that learned to read beside it."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.manifest import load_manifest
from engines.network import VectorNetwork
from engines.sessions.base import Device
from engines.sessions.open import open_session
from pipeline.errors import ConfigError
from pipeline.settings import ConfigPath, Settings
from trainers.losses.captions import load_reader


class CaptionedEmbedder:
    """Turns crops and descriptions of people into unit vectors of one space, as `musewatch train captions` made it.

    Attributes:
        dimension: Length of a vector.
        engine_digest: Of the engine and of what reads.
        max_distance: Cut of the manifest's operating point; None where it names none.
        min_height_px: Crops less tall are not worth embedding.

    Raises:
        EngineError: The engine cannot be used; nothing has started.
        ConfigError: What reads was trained with another engine.
        InputError: What reads is missing or damaged.
    """

    class Config(Settings):
        """Which engine, and what reads for it."""

        engine: ConfigPath = Field(description="Manifest of the exported checkpoint.")
        reader: ConfigPath = Field(description="The checkpoint's reader.safetensors.")
        min_height_px: int = Field(
            default=40, ge=1, le=100_000, description="Crops less tall are not embedded."
        )
        threads: int = Field(default=1, ge=1, le=256, description="Processor threads of one run.")
        device: Device = Field(default="auto", description="auto takes a GPU when there is one that works.")

    reads_text = True

    def __init__(self, config: Config) -> None:
        manifest = load_manifest(config.engine)
        point = manifest.operating_point
        self._reader = load_reader(config.reader)
        session = open_session(manifest, threads=config.threads, device=config.device)
        self._network = VectorNetwork(manifest, session)
        self.dimension: int = self._network.dimension
        if self._reader.dimension != self.dimension:
            raise ConfigError(
                f"{config.reader} reads into {self._reader.dimension} dimensions, {config.engine} has {self.dimension}",
                "give the reader of the engine's own checkpoint",
            )
        read = hashlib.sha256(config.reader.read_bytes()).hexdigest()
        both = hashlib.sha256(f"{manifest.digest} {read}".encode()).hexdigest()
        self.engine_digest: str = f"sha256:{both}"
        self.max_distance: float | None = point.max_distance if point else None
        self.min_height_px: int = config.min_height_px

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops of any size.

        Raises:
            OutputError: A vector has no length or is not a number.
        """
        return self._network.embed(crops)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows for N descriptions.

        Raises:
            InputError: One is longer than what was learned, or has no word that was.
        """
        for text in texts:
            self._reader.need_readable(text)
        rows: NDArray[np.float32] = self._reader.read(texts).numpy()
        return rows
