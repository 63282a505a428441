"""Weights of zero-shot encoders on this machine, as engines that a library opens and feeds.

By their manifest, or by one that is made up on the spot; named with their licence; pickles refused.
"""

import logging
import os
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from engines.errors import EngineError
from engines.files import checked_network, digest_of
from engines.manifest import SCHEMA, ByLibrary, Manifest, load_manifest
from engines.shelf import EnginePath
from pipeline.errors import ConfigError
from pipeline.settings import ConfigPath, Settings
from plugins.embedders.public_weights import PUBLIC, PublicWeights, find_public

logger = logging.getLogger(__name__)

Library = Literal["clip", "timm", "transformers"]

MODELS = "MUSEWATCH_MODELS"
UNKNOWN = "not known to musewatch"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_READ = {".json", ".txt", ".model", ".jinja"}  # beside the weights: what says how they are fed
_warned: set[Path] = set()


class WeightsSettings(Settings):
    """Which weights, and how they are run; one of `engine`, `weights` and `name` must be given."""

    engine: EnginePath | None = Field(
        default=None, description="Manifest of such weights, or its name in `engines list`."
    )
    weights: ConfigPath | None = Field(
        default=None, description="Folder (or file) of weights without a manifest."
    )
    name: str | None = Field(default=None, min_length=1, description="Folder's name in `models`.")
    models: ConfigPath | None = Field(
        default=None, description=f"Folder of models; else the environment's {MODELS}."
    )
    whole: bool = Field(
        default=True,
        description="Crops become squares with grey borders first, so that a centre crop cuts off no head; "
        "of an engine its manifest says so.",
    )
    batch: int = Field(default=32, ge=1, le=1024, description="Crops in one run.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes a GPU when there is one; it computes in bfloat16."
    )
    min_height_px: int = Field(default=40, ge=1, le=100_000, description="Crops less tall are not embedded.")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if [self.engine, self.weights, self.name].count(None) != 2:
            raise ValueError(
                "give either weights (a path), name (of a folder in models), or engine (a manifest)"
            )
        return self


def find_weights(
    config: WeightsSettings,
    library: Library,
    preferred: tuple[str, ...] = (),
    architecture: str | None = None,
) -> tuple[Manifest, ByLibrary]:
    """The engine that a config names, its files checked, and how it is fed.

    The licence goes into the log, and a warning where weights are research-only.

    Args:
        config: Names a manifest, or a folder or file of which one is made up.
        library: What is to open them.
        preferred: Names of the network's file, the best first, where there are several.
        architecture: The library's name of the network, where nothing beside the weights says it.

    Raises:
        ConfigError: They are not there, are a pickle, are for another library, or nothing says which file it is.
    """
    if config.engine is None:
        manifest = _made_up(config, library, preferred, architecture)
    else:
        manifest = load_manifest(config.engine)
    if not isinstance(manifest.fed, ByLibrary) or manifest.fed.library != library:
        raise EngineError(
            f"embedder {library}: engine {manifest.name} is not fed by that library",
            f"name it in its manifest, preprocess: {{library: {library}}}; or use: onnx",
        )
    checked_network(manifest)
    for path in _beside(manifest.path):
        if path not in manifest.paths and config.engine is not None:
            raise EngineError(
                f"embedder {library}: {path} lies beside the weights of {manifest.name}, and no digest covers it",
                "name it in the manifest's files, or take it away",
            )
    _name_licence(manifest)
    return manifest, manifest.fed


def _made_up(
    config: WeightsSettings, library: Library, preferred: tuple[str, ...], architecture: str | None
) -> Manifest:
    """The manifest of files without one."""
    path = _path(config)
    public = find_public(config.name or path.name)
    files = _weights(path, public, library)
    chosen = [file for name in preferred for file in files if file.name == name] or files[:1]
    if len(files) > 1 and preferred and chosen[0].name not in preferred:
        names = ", ".join(file.name for file in files)
        raise ConfigError(f"embedder {library}: {path} holds {names}", f"call the right one {preferred[0]}")
    others = [] if preferred else files[1:]
    beside = [] if path.is_file() else [each for each in _beside(chosen[0]) if each.suffix in _READ]
    data = f"trained on {public.data}" if public else f"found as {path}"
    return Manifest(
        schema=SCHEMA,
        name=re.sub("[^a-z0-9._-]", "-", path.name.lower()).lstrip("._-")[:63] or "weights",
        role="embedder",
        file=chosen[0].absolute(),
        sha256=digest_of(chosen[0]),
        files={each.name: digest_of(each) for each in sorted({*others, *beside})},
        licence=public.licence if public else UNKNOWN,
        provenance=f"{public.repository}, {data}" if public else data,
        preprocess=ByLibrary(library=library, whole=config.whole, architecture=architecture),
    )


def _weights(path: Path, public: PublicWeights | None, use: str) -> list[Path]:
    """The safetensors files of a folder, or the one that a path is."""
    if not path.exists():
        raise ConfigError(f"embedder {use}: there is no {path}", _how_to_get(path, public, use))
    if path.is_file() and path.suffix != ".safetensors":
        raise ConfigError(f"embedder {use}: {path} is not safetensors", _how_to_convert(path))
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        pickles = sorted(each for each in path.iterdir() if each.suffix in _PICKLES)
        if pickles:
            problem = f"embedder {use}: {pickles[0]} is a pickle, which runs code when it is opened"
            raise ConfigError(problem, _how_to_convert(pickles[0]))
        raise ConfigError(
            f"embedder {use}: {path} holds no .safetensors file", _how_to_get(path, public, use)
        )
    return files


def _beside(weights: Path) -> list[Path]:
    """Whatever a library may read in the folder of weights, without these."""
    kinds = {*_READ, weights.suffix}
    return [each for each in sorted(weights.parent.iterdir()) if each.suffix in kinds and each != weights]


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


def _name_licence(manifest: Manifest) -> None:
    """Once a process."""
    folder = manifest.path.parent
    if folder in _warned:
        return
    _warned.add(folder)
    public = find_public(folder.name)
    if public is None and manifest.licence == UNKNOWN:
        logger.info("weights %s: musewatch does not know their licence, nor the data behind them", folder)
        return
    limited = public is not None and public.research_only
    say = logger.warning if limited else logger.info
    say(
        "weights %s: %slicence %s; trained on %s",
        public.repository if public else manifest.name,
        "FOR RESEARCH ONLY; " if limited else "",
        manifest.licence,
        public.data if public else manifest.provenance,
    )
