"""Plans kept in a folder, so that a network is compiled once for each GPU architecture and TensorRT version.

A file holds the SHA-256 of the plan and the plan; one that is not whole is as good as none.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from engines.files import replace_file
from engines.manifest import TensorRt

logger = logging.getLogger("musewatch.engines")

START = b"musewatch plan 1\n"
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class PlanKey:
    """All that a plan depends on.

    Attributes:
        sha256: Of the ONNX file.
        version: Of TensorRT.
        architecture: Of the GPU, such as `sm90`.
        settings: Profile, memory and effort.
    """

    sha256: str
    version: str
    architecture: str
    settings: TensorRt

    @property
    def file_name(self) -> str:
        """One name for each key."""
        batches = ".".join(map(str, self.settings.profile))
        effort = f"w{self.settings.workspace_mb}-l{self.settings.level}"
        return f"{self.sha256[:24]}-trt{self.version}-{self.architecture}-b{batches}-{effort}.plan"

    @property
    def timings_name(self) -> str:
        """Of what was measured while building: shared by all networks of a version and an architecture."""
        return f"timings-trt{self.version}-{self.architecture}.bin"


class PlanCache:
    """Plans and timings in one folder, which need not exist and may be read-only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def plan(self, key: PlanKey) -> bytes | None:
        """The plan of a key, when it is there and whole."""
        return self._load(key.file_name)

    def timings(self, key: PlanKey) -> bytes:
        """What was measured before; empty when nothing was."""
        return self._load(key.timings_name) or b""

    def keep(self, key: PlanKey, plan: bytes, timings: bytes) -> None:
        """Writes both; where that fails, one line says so and the next start builds again."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, data in ((key.file_name, plan), (key.timings_name, timings)):
                replace_file(self._folder / name, START + hashlib.sha256(data).digest() + data)
        except OSError as error:
            reason = error.strerror or error
            logger.warning("%s cannot be written, plans are built at every start: %s", self._folder, reason)

    def _load(self, name: str) -> bytes | None:
        try:
            held = (self._folder / name).read_bytes()
        except OSError:
            return None
        start, digest = held[: len(START)], held[len(START) : len(START) + DIGEST_BYTES]
        data = held[len(START) + DIGEST_BYTES :]
        if start != START or hashlib.sha256(data).digest() != digest:
            logger.warning("%s is damaged and is made again", self._folder / name)
            return None
        return data
