"""What a protocol file may say: sets, encoders, verifiers, re-rankers, and which combinations to run."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings import ConfigPath, PluginChoice, Settings, checked, read_yaml
from trainers.evaluate.rules import RULES

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$")]
ProtocolName = Literal["intra", "single_source", "multi_source", "leave_one_out", "grid"]
Tuning = Literal["source_aware", "source_agnostic", "mixed", "target_seen"]


class TargetSet(Settings):
    """A set that is searched. Without pictures its features come from files."""

    pictures: ConfigPath | None = Field(
        default=None, description="Market-1501 tree, or the folder of the layout or of the table."
    )
    layout: str | None = Field(
        default=None, description="What `pictures` is: a name of `musewatch data list`, maybe /SEARCH."
    )
    trial: int = Field(default=1, ge=1, description="Which of the layout's random splits.")
    table: ConfigPath | None = Field(
        default=None, description="CSV: path, split (query or gallery), id, camera; optional clothes, scene."
    )
    rules: tuple[str, ...] = Field(
        default=("market",), min_length=1, description="How to score; one row each."
    )

    @model_validator(mode="after")
    def _layout_has_pictures(self) -> Self:
        if self.layout is not None and (self.pictures is None or self.table is not None):
            raise ValueError("a layout needs pictures, and no table")
        return self

    @model_validator(mode="after")
    def _rules_exist(self) -> Self:
        unknown = [rule for rule in self.rules if rule not in RULES]
        if unknown:
            raise ValueError(f"no rule is called {unknown[0]!r}; known: {', '.join(RULES)}")
        return self


class Encoder(Settings):
    """What makes features: an embedder plugin, or files of features that it has made."""

    sources: tuple[Name, ...] = Field(default=(), description="Sets it was trained on; none = zero-shot.")
    embedder: PluginChoice | None = None
    features: ConfigPath | None = Field(default=None, description="Path with {set}, maybe {encoder}.")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.embedder is None) == (self.features is None):
            raise ValueError("give either an embedder or a path of features")
        return self


class VerifierAnswers(Settings):
    """A verifier's answers for each shortlist, as files of the `evaluate features` form or of logits."""

    tuned_on: tuple[Name, ...] = ()
    answers: ConfigPath = Field(
        description="Path with {encoder} and {set}: candidates, and p_no or s_yes, s_no."
    )


class Protocol(Settings):
    """A whole protocol file."""

    version: Literal[1]
    title: str = "Retrieval"
    cache: ConfigPath = Field(default=Path("cache"), validate_default=True, description="Vectors once made.")
    sets: dict[Name, TargetSet] = Field(min_length=1)
    encoders: dict[Name, Encoder] = Field(min_length=1)
    verifiers: dict[Name, VerifierAnswers] = Field(default_factory=dict)
    targets: tuple[Name, ...] = Field(default=(), description="Sets to search; none = all.")
    protocols: tuple[ProtocolName, ...] = Field(default=("single_source", "leave_one_out"), min_length=1)
    tuning: tuple[Tuning, ...] = ("source_aware", "source_agnostic")
    rerank: tuple[PluginChoice | str, ...] = Field(default=("none",), min_length=1)
    metric: Literal["euclidean", "cosine"] = "euclidean"
    alpha: float = Field(default=0.2, ge=0, le=1, description="Weight of the verifier on other sets.")
    alpha_intra: float = Field(
        default=0.1, ge=0, le=1, description="Weight on a set the encoder was trained on."
    )
    tau: float = Field(default=5.0, gt=0, description="Temperature of the verifier's logits.")
    top_c: int = Field(default=40, ge=1, description="Candidates of each query that are judged.")
    device: str = "cpu"
    rank_pages: int = Field(default=0, ge=0, le=500, description="Queries shown as pictures, for each run.")

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        unknown = [name for name in self.targets if name not in self.sets]
        if unknown:
            raise ValueError(f"target {unknown[0]!r} is not among the sets: {', '.join(self.sets)}")
        return self

    @property
    def searched(self) -> tuple[str, ...]:
        """The targets."""
        return self.targets or tuple(self.sets)


def load_protocol(path: Path) -> Protocol:
    """A checked protocol file; relative paths start at the file.

    Raises:
        ConfigError: With the path of the key that is wrong.
    """
    return checked(Protocol, read_yaml(path), str(path), {"base_dir": path.resolve().parent})


def kinds_of(protocol: Protocol, encoder: str, target: str) -> tuple[ProtocolName, ...]:
    """The protocols under which an encoder may be measured on a target.

    Intra: trained on it alone. Single-source, multi-source: trained on one other set, on several others. Leave-one-out:
    on all other targets. Grid: always.
    """
    sources = set(protocol.encoders[encoder].sources)
    kinds: list[ProtocolName] = ["grid"]
    if sources == {target}:
        kinds.append("intra")
    elif len(sources) == 1:
        kinds.append("single_source")
    elif sources and target not in sources:
        kinds.append("multi_source")
        if set(protocol.searched) - {target} <= sources:
            kinds.append("leave_one_out")
    return tuple(kind for kind in protocol.protocols if kind in kinds)


def tuning_of(protocol: Protocol, verifier: str, encoder: str, target: str) -> Tuning:
    """How the verifier's training sets stand to the run's: MUSE, tables 8 to 11."""
    tuned, sources = set(protocol.verifiers[verifier].tuned_on), set(protocol.encoders[encoder].sources)
    if tuned == sources:
        return "source_aware"
    if target in tuned:
        return "target_seen"
    return "mixed" if tuned & sources else "source_agnostic"
