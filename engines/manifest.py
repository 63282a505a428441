"""What an engine is: a YAML manifest beside the network's file.

The file is named relative to the manifest and pinned by its sha256; unknown keys are refused.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from engines.errors import ManifestError
from pipeline.settings import checked, read_yaml

Scale = Annotated[float, Field(ge=-1e6, le=1e6)]
Triple = tuple[Scale, Scale, Scale]
Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8"]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Batch = Annotated[int, Field(ge=1, le=1024)]
Pixels = Annotated[int, Field(ge=8, le=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Preprocess(_Part):
    """How pixels become the input tensor: (x * scale - mean) / std, channels first."""

    colour: Literal["bgr", "rgb"] = Field(description="Order of the channels, of mean and of std too.")
    scale: Positive = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    resize: Literal["letterbox_top_left", "letterbox_centre", "stretch"] = Field(
        description="Between four neighbours; a picture over twice as large in a side is shrunk by the mean of areas."
    )
    pad: int = Field(default=114, ge=0, le=255, description="Grey beside a letterboxed picture.")
    size: tuple[Pixels, Pixels] = Field(description="Height, width.")


class _PersonDecoder(_Part):
    person_class: int = Field(
        default=0, ge=0, le=100_000, description="Number of the class that is a person."
    )


class YoloxDecoder(_PersonDecoder):
    """Raw YOLOX: (N, A, 5 + C) rows of x, y, log w, log h on the grid, objectness, class scores."""

    kind: Literal["yolox"]
    strides: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(8, 16, 32), min_length=1)


class UltralyticsDecoder(_PersonDecoder):
    """Ultralytics exports: (N, 4 + C, A) or YOLOv5's (N, 3 A, 5 + C) without NMS inside, (N, D, 6) with.

    They are told apart by their shape and the number of cells A that the input has.
    """

    kind: Literal["ultralytics"]


class EndToEndDecoder(_PersonDecoder):
    """Finished rows (N, D, 6): x1, y1, x2, y2 in input pixels, score, class."""

    kind: Literal["end_to_end"]


class DetrDecoder(_PersonDecoder):
    """Two outputs: class logits (N, Q, C) and boxes (N, Q, 4): centre x, y, width, height in fractions.

    They are told apart by their shapes; where both have four columns, the boxes come second.
    """

    kind: Literal["detr"]
    scores: Literal["sigmoid", "softmax"] = Field(
        default="sigmoid", description="softmax = the first DETR, whose last class is nothing."
    )


class SsdDecoder(_PersonDecoder):
    """Finished rows (1, 1, D, 7): picture (-1 = the end), class, score, x1, y1, x2, y2 in fractions."""

    kind: Literal["ssd"]


Decoder = Annotated[
    YoloxDecoder | UltralyticsDecoder | EndToEndDecoder | DetrDecoder | SsdDecoder,
    Field(discriminator="kind"),
]


class OperatingPoint(_Part):
    """The cut that belongs to this engine."""

    max_distance: float = Field(
        gt=0, le=2, description="Largest Euclidean distance of one and the same person."
    )
    chosen_on: str | None = Field(default=None, description="What data the cut was chosen on.")


class Network(_Part):
    """The architecture that safetensors weights belong to."""

    use: str = Field(description="Name of its builder among the entry points `musewatch.network`.")
    arguments: dict[str, Any] = Field(default={}, description="Keywords of the builder.")


class TensorRt(_Part):
    """How TensorRT is to compile the network, where TensorRT and a GPU are."""

    profile: tuple[Batch, Batch, Batch] = Field(
        default=(1, 8, 32), description="Smallest, usual and largest batch of one run."
    )
    workspace_mb: int = Field(
        default=1024, ge=1, le=1_000_000, description="Memory that one layer may take while it runs."
    )
    level: int = Field(default=3, ge=0, le=5, description="Effort of the builder.")

    @field_validator("profile")
    @classmethod
    def _grows(cls, profile: tuple[int, int, int]) -> tuple[int, int, int]:
        if sorted(profile) != list(profile):
            raise ValueError("expected smallest <= usual <= largest batch")
        return profile


def refuse_wrong_decoder(role: str, decoder: Decoder | None) -> None:
    """A detector has a decoder, and nothing else has.

    Raises:
        ValueError: Otherwise; for a model's validator.
    """
    if (role == "detector") != (decoder is not None):
        raise ValueError(f"role {role} {'needs a' if role == 'detector' else 'has no'} decoder")


class Manifest(_Part):
    """An engine: what it is for, which file, what it eats and how its answer is read."""

    schema_: Literal["musewatch.engine/1"] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    role: Literal["detector", "embedder", "verifier", "masker"]
    file: Path = Field(description="The network, relative to the manifest.")
    sha256: str = Field(description="Of the file: 64 hexadecimal digits in lower case.")
    licence: str = Field(min_length=1)
    provenance: str = Field(min_length=1, description="Where the weights come from, and from which data.")
    created: str | None = None
    accuracy: dict[str, Any] = Field(default={}, description="What was measured, on what.")
    preprocess: Preprocess
    decoder: Decoder | None = Field(default=None, description="How a detector's answer is read.")
    outputs: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Names of the outputs that are read, in order; null = all."
    )
    max_batch: Batch | None = Field(
        default=None,
        description="Pictures a call; null = what the network takes, 32 when any.",
    )
    operating_point: OperatingPoint | None = None
    precision: Precision | None = Field(default=None, description="What the network computes in.")
    network: Network | None = Field(default=None, description="For .safetensors files: what they are for.")
    tensorrt: TensorRt | None = Field(
        default=None, description="For .onnx files: TensorRT runs it where it can; null = never."
    )

    _folder: Path = PrivateAttr(default=Path())

    @field_validator("sha256")
    @classmethod
    def _is_a_digest(cls, text: str) -> str:
        if not re.fullmatch("[0-9a-f]{64}", text):
            raise ValueError("expected 64 hexadecimal digits in lower case, as `sha256sum FILE` prints them")
        return text

    @model_validator(mode="after")
    def _decoder_belongs_to_detectors(self) -> "Manifest":
        refuse_wrong_decoder(self.role, self.decoder)
        return self

    @model_validator(mode="after")
    def _parts_belong_to_the_file(self) -> "Manifest":
        if (self.network is None) == (self.file.suffix == ".safetensors"):
            raise ValueError("key network belongs to .safetensors files, and to these alone")
        if self.tensorrt is not None and self.file.suffix != ".onnx":
            raise ValueError("key tensorrt belongs to .onnx files")
        return self

    @model_validator(mode="after")
    def _remember_folder(self, info: ValidationInfo) -> "Manifest":
        self._folder = (info.context or {}).get("folder", Path())
        return self

    @property
    def path(self) -> Path:
        """The network's file."""
        return self._folder / self.file

    @property
    def file_digest(self) -> str:
        """`sha256:` and the file's digest."""
        return f"sha256:{self.sha256}"

    @property
    def digest(self) -> str:
        """The engine's identity: what it computes, as events, vectors, tracklets and calibrations carry it.

        `sha256:` over the file's digest, a line feed, and the canonical JSON (sorted keys, no spaces, UTF-8) of what
        says how the network is fed and read: preprocess and decoder, outputs and network where they are set. What is
        left to its default is left out, so that a key added to the schema changes nobody's identity.
        """
        keys = {"preprocess", "decoder", "outputs", "network"}
        said = self.model_dump(mode="json", include=keys, exclude_defaults=True)
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        whole = f"{self.file_digest}\n{canonical}"
        return f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


def load_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest; the file behind it is not touched.

    Raises:
        ManifestError: Missing, not YAML, or with keys or values that it may not have; all of them are named.
    """
    document = read_yaml(path, "manifest", "see `musewatch engines list`", ManifestError)
    return parse_manifest(document, path.resolve().parent, str(path))


def parse_manifest(document: Any, folder: Path, where: str = "manifest") -> Manifest:
    """Checks a manifest already read; `file` is found from `folder`.

    Raises:
        ManifestError: It says something that it may not.
    """
    return checked(Manifest, document, where, {"folder": folder}, ManifestError)


def manifest_schema() -> dict[str, Any]:
    """JSON Schema of a manifest."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Writes a manifest, without what it does not say; the file that it names is not touched.

    Raises:
        OSError: It cannot be written.
    """
    document = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
