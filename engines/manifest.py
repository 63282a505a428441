"""What an engine is: a YAML manifest beside the network's file or files.

Files are named relative to the manifest and pinned each by its sha256; unknown keys are refused. A checkpoint is an
engine too: a folder whose manifest is called `network.yaml`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from engines.errors import ManifestError
from engines.prompts import Layout, Prompt
from pipeline.settings import checked, read_yaml

Scale = Annotated[float, Field(ge=-1e6, le=1e6)]
Triple = tuple[Scale, Scale, Scale]
Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8"]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Batch = Annotated[int, Field(ge=1, le=1024)]
Pixels = Annotated[int, Field(ge=8, le=4096)]

SCHEMA: Literal["musewatch.engine/1"] = "musewatch.engine/1"
OLD_CARD = "musewatch.network/1"
CARD, WEIGHTS = "network.yaml", "weights.safetensors"
_OF_VERIFIERS = ("prompt", "answers", "tau", "alpha", "layout")
UNSAVED = "0" * 64
"""Stands for the digest of a file that is still to be written."""


def _is_a_digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("expected 64 hexadecimal digits in lower case, as `sha256sum FILE` prints them")
    return text


def _is_plain(values: dict[str, Any]) -> dict[str, Any]:
    try:
        yaml.safe_dump(values)
    except yaml.YAMLError:
        raise ValueError("only text, numbers, lists and mappings can be written down") from None
    return values


Digest = Annotated[str, AfterValidator(_is_a_digest)]
Plain = Annotated[dict[str, Any], AfterValidator(_is_plain)]


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
    shape: Literal["stream", "fixed"] = Field(
        default="stream",
        description="Of a detector whose network takes any size: no higher or wider than the letterboxed picture "
        "needs, in steps of 32; fixed = always size.",
    )


class ByLibrary(_Part):
    """A library opens the files and feeds the network, as the files beside the weights tell it."""

    library: Literal["clip", "timm", "transformers"] = Field(description="The embedder that opens it.")
    whole: bool = Field(default=True, description="Crops become squares with grey borders first.")
    architecture: str | None = Field(
        default=None, description="timm's name of the network, where no config.json lies beside the weights."
    )


def _feeding(document: Any) -> str:
    by_library = "library" in document if isinstance(document, Mapping) else isinstance(document, ByLibrary)
    return "ByLibrary" if by_library else "Preprocess"


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
    embedder: str | None = Field(
        default=None, description="Of a verifier's cut: the identity of the embedder that it was chosen with."
    )
    alpha: Share | None = Field(
        default=None, description="Of a verifier's cut: the weight it was chosen with."
    )
    tau: Positive | None = Field(
        default=None, description="Of a verifier's cut: the temperature it was chosen with."
    )


class Network(_Part):
    """The architecture that safetensors weights belong to."""

    use: str = Field(description="Name of its builder among the entry points `musewatch.network`.")
    arguments: Plain = Field(default={}, description="Keywords of the builder.")


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


class OpenVino(_Part):
    """How OpenVINO runs the network, on the processor."""

    precision: Literal["fp32", "bf16"] = Field(
        default="fp32",
        description="What it computes in. With bf16 answers differ a little, and it is another engine: its cut is "
        "chosen with it. It is faster on some processors, slower on others.",
    )


class Manifest(_Part):
    """An engine: what it is for, which files, what it eats and how its answer is read."""

    schema_: Literal["musewatch.engine/1"] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    role: Literal["detector", "embedder", "verifier", "masker"]
    file: Path = Field(description="The network, relative to the manifest.")
    sha256: Digest = Field(description="Of the file: 64 hexadecimal digits in lower case.")
    files: dict[str, Digest] = Field(
        default={},
        description="Other files that belong to it, relative to the first one's folder, and the SHA-256 of each.",
    )
    licence: str = Field(min_length=1)
    provenance: str = Field(min_length=1, description="Where the weights come from, and from which data.")
    created: str | None = None
    accuracy: Plain = Field(default={}, description="What was measured, on what.")
    fed: Annotated[
        Annotated[Preprocess, Tag("Preprocess")] | Annotated[ByLibrary, Tag("ByLibrary")],
        Discriminator(_feeding),
    ] = Field(alias="preprocess")
    decoder: Decoder | None = Field(default=None, description="How a detector's answer is read.")
    outputs: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Names of the outputs that are read, in order; null = all."
    )
    max_batch: Batch | None = Field(
        default=None,
        description="Pictures a call; null = what the network takes, 32 when any.",
    )
    dimension: int | None = Field(
        default=None, ge=1, le=65_536, description="Length of an embedder's vectors."
    )
    operating_point: OperatingPoint | None = None
    precision: Precision | None = Field(default=None, description="What the network computes in.")
    network: Network | None = Field(default=None, description="For .safetensors files: what they are for.")
    tensorrt: TensorRt | None = Field(
        default=None, description="For .onnx files: TensorRT runs it where it can; null = never."
    )

    openvino: OpenVino | None = Field(
        default=None,
        description="For .onnx files: OpenVINO runs it, on the processor; null = never. It always runs .xml files.",
    )

    prompt: Prompt | None = Field(default=None, description="What a verifier asks of two pictures.")
    answers: tuple[str, str] | None = Field(
        default=None, description="A verifier's words for one person and for two, one token each: Yes, No."
    )
    tau: Positive | None = Field(
        default=None, description="Temperature: a verifier's logits are divided by it; null = 5."
    )
    alpha: Share | None = Field(
        default=None, description="Weight of a verifier beside the embedder's distance; null = 0.2."
    )
    layout: Layout | None = Field(
        default=None, description="Where a verifier's rules stand; null = rules_first."
    )

    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _decoder_belongs_to_detectors(self) -> "Manifest":
        if (self.role == "detector") != (self.decoder is not None):
            raise ValueError(f"role {self.role} {'needs a' if self.role == 'detector' else 'has no'} decoder")
        return self

    @model_validator(mode="after")
    def _questions_belong_to_verifiers(self) -> "Manifest":
        said = [key for key in _OF_VERIFIERS if getattr(self, key) is not None]
        if said and self.role != "verifier":
            raise ValueError(f"{', '.join(said)}: of a verifier only, and this is a {self.role}")
        if self.answers is not None and self.answers[0] == self.answers[1]:
            raise ValueError("answers: two different words are needed")
        return self

    @model_validator(mode="after")
    def _parts_belong_to_the_file(self) -> "Manifest":
        verifier = self.role == "verifier"
        ours = self.file.suffix == ".safetensors" and isinstance(self.fed, Preprocess) and not verifier
        if (self.network is not None) != ours:
            raise ValueError(
                "key network belongs to .safetensors files that no library opens, and to these alone"
            )
        if self.tensorrt is not None and (self.file.suffix != ".onnx" or self.files):
            raise ValueError("key tensorrt belongs to .onnx files in one piece")
        self._openvino_can_run_it()
        if isinstance(self.fed, ByLibrary) and self.role != "embedder":
            raise ValueError("libraries open embedders only")
        return self

    def _openvino_can_run_it(self) -> None:
        if self.openvino is None:
            return
        if self.file.suffix != ".xml" and (self.file.suffix != ".onnx" or self.files):
            raise ValueError("key openvino belongs to .xml files, and to .onnx files in one piece")
        if self.tensorrt is not None:
            raise ValueError("one of the keys openvino and tensorrt, not both")

    @model_validator(mode="after")
    def _files_lie_beside_the_first(self) -> "Manifest":
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or str(path) != name or name == self.file.name:
                raise ValueError(
                    f"files: {name!r} is not the plain name of another file in the folder of {self.file}"
                )
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
    def preprocess(self) -> Preprocess:
        """How pixels become the input tensor.

        Raises:
            ManifestError: A library feeds this network.
        """
        if isinstance(self.fed, ByLibrary):
            raise ManifestError(
                f"engine {self.name}: its files are opened by the library {self.fed.library}",
                f"name it in a config: embedder: {{use: {self.fed.library}, engine: MANIFEST}}",
            )
        return self.fed

    @property
    def question(self) -> tuple[Prompt, tuple[str, str]]:
        """What a verifier asks, and the words it is answered with.

        Raises:
            ManifestError: This is no verifier that asks.
        """
        if self.prompt is None or self.answers is None:
            raise ManifestError(
                f"engine {self.name} is no verifier with a prompt and answers",
                "name a verifier's manifest here",
            )
        return self.prompt, self.answers

    @property
    def max_distance(self) -> float | None:
        """The cut that belongs to this engine; None where the manifest names none."""
        return self.operating_point.max_distance if self.operating_point else None

    @property
    def paths(self) -> dict[Path, str]:
        """Every file of the engine, the network's first, and its SHA-256."""
        return {self.path: self.sha256} | {
            self.path.parent / name: digest for name, digest in self.files.items()
        }

    @property
    def file_digest(self) -> str:
        """`sha256:` and the file's digest; of several files, that of the canonical JSON of their digests by name."""
        if not self.files:
            return f"sha256:{self.sha256}"
        named = _canonical({self.file.name: self.sha256, **self.files})
        return f"sha256:{hashlib.sha256(named.encode()).hexdigest()}"

    @property
    def digest(self) -> str:
        """The engine's identity: what it computes, as events, vectors, tracklets and calibrations carry it.

        `sha256:` over the file's digest, a line feed, and the canonical JSON (sorted keys, no spaces, UTF-8) of what
        says how the network is fed and read: preprocess and decoder, and where they are set outputs, network,
        OpenVINO's precision and a verifier's question (not its weight). What is left to its default is left out,
        so that a key added to the schema changes nobody's identity.
        """
        keys = {"fed", "decoder", "outputs", "network", "openvino", *_OF_VERIFIERS} - {"alpha"}
        if self.openvino == OpenVino():
            keys.remove("openvino")
        said = self.model_dump(mode="json", include=keys, exclude_defaults=True, by_alias=True)
        whole = f"{self.file_digest}\n{_canonical(said)}"
        return f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"

    def derived(self, folder: Path, **keys: Any) -> "Manifest":
        """A manifest for another file, in a folder: as this one, with other keys.

        Raises:
            ManifestError: It would say something that it may not.
        """
        document = self.model_dump(by_alias=True, exclude_unset=True) | keys
        return parse_manifest(document, folder, f"manifest of {keys.get('name', self.name)}")


def load_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest; the file behind it is not touched.

    Args:
        path: The manifest, or the folder of a checkpoint.

    Raises:
        ManifestError: Missing, not YAML, or with keys or values that it may not have; all of them are named.
    """
    if path.is_dir():
        path /= CARD
    fix = (
        f"a checkpoint is a folder with {CARD} and {WEIGHTS}"
        if path.name == CARD
        else "see `musewatch engines list`"
    )
    document = read_yaml(path, "manifest", fix, ManifestError)
    if isinstance(document, dict) and document.get("schema") == OLD_CARD:
        document = _from_old_card(document)
    return parse_manifest(document, path.resolve().parent, str(path))


def parse_manifest(document: Any, folder: Path, where: str = "manifest") -> Manifest:
    """Checks a manifest already read; `file` is found from `folder`.

    Raises:
        ManifestError: It says something that it may not.
    """
    return checked(Manifest, document, where, {"folder": folder}, ManifestError)


def _from_old_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a checkpoint that was saved when checkpoints had a card of their own."""
    kept = {
        key: value for key, value in card.items() if key not in ("use", "arguments") and value is not None
    }
    network = {key: card[key] for key in ("use", "arguments") if key in card}
    return {**kept, "schema": SCHEMA, "file": WEIGHTS, "network": network}


def _canonical(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def manifest_schema() -> dict[str, Any]:
    """JSON Schema of a manifest."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}


def as_yaml(manifest: Manifest) -> str:
    """A manifest as it is written, without what it does not say."""
    document = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not manifest.files:
        del document["files"]
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
