"""The catalogue: public engines, where each is published, under which terms, and how it becomes one of ours."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from engines.errors import ManifestError
from engines.manifest import SCHEMA, UNSAVED, Digest, Manifest, Plain, parse_manifest
from pipeline.settings import checked, read_yaml

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
LARGEST = 2_000_000_000
"""Bytes of the largest file that is fetched."""

Size = Annotated[int, Field(ge=1, le=LARGEST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Build(_Part):
    """A file by its size and a digest of the publisher's own kind, SHA-256 or SHA-384."""

    bytes: Size
    sha256: Digest | None = None
    sha384: str | None = Field(default=None, pattern="^[0-9a-f]{96}$")
    said_by: str = Field(min_length=1, description="Who states the digest, and where.")

    @model_validator(mode="after")
    def _is_pinned(self) -> "Build":
        if (self.sha256 is None) == (self.sha384 is None):
            raise ValueError("a file has either sha256 or sha384")
        return self

    @property
    def digest(self) -> tuple[str, str]:
        """Algorithm and hexadecimal digits."""
        return ("sha256", self.sha256) if self.sha256 else ("sha384", str(self.sha384))


class Published(Build):
    """A file as its publisher hands it out."""

    name: str = Field(pattern=r"^[\w.-]+$")
    url: str = Field(pattern=r"^https?://")
    other_builds: tuple[Build, ...] = Field(
        default=(), description="Other files of the same network, taken with --from."
    )

    @property
    def builds(self) -> tuple[Build, ...]:
        """Every file that is taken for this one, the publisher's first."""
        return (self, *self.other_builds)


class Licences(_Part):
    """Terms, as far as they are known; 'not stated' where the publisher says nothing."""

    code: str
    weights: str
    data: str = Field(description="What it was trained on, and the terms of that.")


def _makes_a_manifest(keys: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Refuses keys that no manifest could be written from."""
    document = {"schema": SCHEMA, "name": "entry", "file": "entry.onnx", "sha256": UNSAVED}
    try:
        parse_manifest({**document, "licence": "-", "provenance": "-", **keys}, Path(), "manifest")
    except ManifestError as error:
        raise ValueError(error.problem) from None
    return keys


class Entry(_Part):
    """One engine of the catalogue."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    about: str = Field(min_length=1)
    publisher: str = Field(min_length=1, description="Who, and the page that presents it.")
    files: tuple[Published, ...] = Field(min_length=1)
    licences: Licences
    terms: str | None = Field(
        default=None, description="Terms narrower than a free licence; they must be accepted by word."
    )
    measured: str = Field(min_length=1, description="What it was measured at here.")
    convert: Literal["none", "openvino", "nanodet", "osnet"] = Field(
        default="none", description="What makes ONNX of the files."
    )
    manifest: Annotated[Plain, AfterValidator(_makes_a_manifest)]
    config: Plain = Field(default={}, description="Keys that go with it in a config, beside `engine`.")

    @property
    def role(self) -> str:
        """The role in the config."""
        return str(self.manifest["role"])

    @property
    def size(self) -> int:
        """Bytes to be fetched."""
        return sum(file.bytes for file in self.files)

    def line(self) -> str:
        """The line of a config that uses it."""
        keys = {"use": "onnx", "engine": self.name, **self.config}
        return f"{self.role}: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}"

    def drafted(self, file: Path, provenance: str) -> Manifest:
        """Its manifest over a file whose digest is still to be filled in."""
        document = {
            "schema": SCHEMA,
            "name": self.name,
            "file": file.name,
            "sha256": UNSAVED,
            "licence": self.licences.weights,
            "provenance": provenance,
            **self.manifest,
        }
        return parse_manifest(document, file.parent, f"catalogue: {self.name}")


class Catalogue(_Part):
    """All engines, and sets of them under one name."""

    engines: tuple[Entry, ...]
    sets: dict[str, tuple[str, ...]] = Field(default={}, description="Names fetched together.")

    @model_validator(mode="after")
    def _names_are_known(self) -> "Catalogue":
        names = [entry.name for entry in self.engines]
        twice = {name for name in names if names.count(name) > 1} | (set(names) & set(self.sets))
        unknown = {name for members in self.sets.values() for name in members} - set(names)
        if twice or unknown:
            raise ValueError(f"given twice: {sorted(twice)}; unknown in sets: {sorted(unknown)}")
        return self

    def find(self, name: str) -> tuple[Entry, ...]:
        """The engine of that name, or the engines of that set.

        Raises:
            ManifestError: There is neither.
        """
        entries = {entry.name: entry for entry in self.engines}
        wanted = self.sets.get(name, (name,))
        if not set(wanted) <= set(entries):
            raise ManifestError(
                f"the catalogue has no engine called {name}",
                f"one of: {', '.join([*self.sets, *entries])}; `musewatch engines fetch --list` describes them",
            )
        return tuple(entries[each] for each in wanted)


def load_catalogue() -> Catalogue:
    """The catalogue that ships.

    Raises:
        ManifestError: It says something that it may not.
    """
    document = read_yaml(CATALOGUE, "catalogue", "install musewatch again", ManifestError)
    return checked(Catalogue, document, str(CATALOGUE), {}, ManifestError)
