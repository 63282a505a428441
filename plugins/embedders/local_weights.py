"""Weights of zero-shot encoders on this machine: found, named with their licence, pickles refused."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.settings import ConfigPath, Settings
from plugins.embedders.public_weights import PUBLIC, PublicWeights, find_public

logger = logging.getLogger(__name__)

MODELS = "MUSEWATCH_MODELS"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_READ = {".json", ".txt", ".model", ".jinja"}  # beside the weights: what says how they are fed
_BLOCK = 1 << 20
_warned: set[str] = set()


class WeightsSettings(Settings):
    """Which weights, and how they are run; one of `weights` and `name` must be given."""

    weights: ConfigPath | None = Field(default=None, description="Folder (or file) of the weights.")
    name: str | None = Field(default=None, min_length=1, description="Folder's name in `models`.")
    models: ConfigPath | None = Field(
        default=None, description=f"Folder of models; else the environment's {MODELS}."
    )
    whole: bool = Field(
        default=True,
        description="Crops become squares with grey borders first, so that a centre crop cuts off no head.",
    )
    batch: int = Field(default=32, ge=1, le=1024, description="Crops in one run.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes a GPU when there is one; it computes in bfloat16."
    )
    min_height_px: int = Field(default=40, ge=1, le=100_000, description="Crops less tall are not embedded.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.weights is None) == (self.name is None):
            raise ValueError("give either weights (a path) or name (of a folder in models)")
        return self


@dataclass(frozen=True, slots=True)
class LocalWeights:
    """Weights that were found.

    Attributes:
        path: The folder, or a single file.
        files: The safetensors files in it.
    """

    path: Path
    files: tuple[Path, ...]

    def digest(self, *more: object) -> str:
        """`sha256:...` of all that the vectors depend on: the weights, what lies beside them, and `more`."""
        beside = [] if self.path.is_file() else [each for each in self.path.iterdir() if each.suffix in _READ]
        digest = hashlib.sha256(repr(more).encode())
        for path in sorted({*self.files, *beside}):
            digest.update(f"\n{path.name}\n".encode())
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        return f"sha256:{digest.hexdigest()}"


def find_weights(config: WeightsSettings, use: str) -> LocalWeights:
    """The weights that a config names; their licence goes into the log, and a warning where they are research-only.

    Raises:
        ConfigError: They are not there, or are a pickle.
    """
    public = find_public(config.name or _path(config).name)
    path = _path(config)
    if not path.exists():
        raise ConfigError(f"embedder {use}: there is no {path}", _how_to_get(path, public, use))
    files = (path,) if path.is_file() else tuple(sorted(path.glob("*.safetensors")))
    if path.is_file() and path.suffix != ".safetensors":
        raise ConfigError(f"embedder {use}: {path} is not safetensors", _how_to_convert(path))
    if not files:
        pickles = sorted(each for each in path.iterdir() if each.suffix in _PICKLES)
        if pickles:
            problem = f"embedder {use}: {pickles[0]} is a pickle, which runs code when it is opened"
            raise ConfigError(problem, _how_to_convert(pickles[0]))
        raise ConfigError(
            f"embedder {use}: {path} holds no .safetensors file", _how_to_get(path, public, use)
        )
    _name_licence(path, public)
    return LocalWeights(path, files)


def _path(config: WeightsSettings) -> Path:
    if config.weights is not None:
        return config.weights
    models = config.models or (Path(os.environ[MODELS]) if os.environ.get(MODELS) else None)
    if models is None:
        raise ConfigError(
            f"nothing says where the folder of {config.name!r} is",
            f"set embedder.models or the environment's {MODELS}, or give embedder.weights a path",
        )
    return models / str(config.name).rpartition("/")[2]


def _how_to_get(path: Path, public: PublicWeights | None, use: str) -> str:
    if public is None:
        known = ", ".join(each.repository for each in PUBLIC if each.use == use)
        return f"nothing is downloaded: put the weights there. Known to work with {use}: {known}"
    return (
        f"nothing is downloaded: where there is a network, fetch {', '.join(public.files)} of "
        f"https://huggingface.co/{public.repository} into {path} (licence: {public.licence}; trained on "
        f"{public.data}), and compare sha256sum of the .safetensors file with what its page shows"
    )


def _how_to_convert(path: Path) -> str:
    return (
        'take the .safetensors file of the same repository; or convert it once: python -c "import torch; from '
        "safetensors.torch import save_file as s; d = torch.load('IN', 'cpu', weights_only=True); "
        "s({k: v.contiguous().clone() for k, v in d.get('state_dict', d).items()}, 'OUT')\" "
        f"with IN = {path.name} and OUT = {path.with_suffix('.safetensors').name}"
    )


def _name_licence(path: Path, public: PublicWeights | None) -> None:
    """Once a process."""
    if str(path) in _warned:
        return
    _warned.add(str(path))
    if public is None:
        logger.info("weights %s: musewatch does not know their licence, nor the data behind them", path)
        return
    say = logger.warning if public.research_only else logger.info
    limit = "FOR RESEARCH ONLY; " if public.research_only else ""
    say("weights %s: %slicence %s; trained on %s", public.repository, limit, public.licence, public.data)
