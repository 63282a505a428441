"""The re-rankers by name, as the command line and protocol files call them."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import rerank
from pipeline.errors import ConfigError
from pipeline.rerank import Blocks, Distances, MuEntries

_MADE_BY_US = {"d", "mu", "device", "query_cameras", "gallery_cameras"}
_FUNCTIONS: dict[str, Callable[..., NDArray[np.float32]]] = {
    "k_reciprocal": rerank.k_reciprocal,
    "ecn": rerank.ecn,
    "camera_jaccard": rerank.camera_jaccard,
}
_BLOCKS: dict[str, Callable[..., Blocks]] = {
    "k_reciprocal": rerank.k_reciprocal_blocks,
    "ecn": rerank.ecn_blocks,
    "camera_jaccard": rerank.camera_jaccard_blocks,
}
NAMES = ("none", *_FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Reranker:
    """A re-ranker with all its parameters."""

    name: str
    params: Mapping[str, Any]

    def blocks(
        self,
        d: Distances,
        query_cameras: NDArray[np.int64],
        gallery_cameras: NDArray[np.int64],
        mu: MuEntries | None = None,
        device: str = "cpu",
    ) -> Blocks:
        """First query and its (b, G) distances; on another device than the processor all at once."""
        if self.name == "none":
            return d.with_mu(mu).query_blocks()
        cameras = (query_cameras, gallery_cameras) if self.name == "camera_jaccard" else ()
        if device == "cpu":
            return _BLOCKS[self.name](d, *cameras, mu=mu, **self.params)
        return iter([(0, _FUNCTIONS[self.name](d, *cameras, mu=mu, device=device, **self.params))])


def defaults(name: str) -> dict[str, Any]:
    """A re-ranker's parameters.

    Raises:
        ConfigError: No such re-ranker.
    """
    if name not in NAMES:
        raise ConfigError(f"no re-ranker is called {name!r}; known: {', '.join(NAMES)}")
    if name == "none":
        return {}
    parameters = inspect.signature(_FUNCTIONS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in _MADE_BY_US}


def choose(names: Sequence[str], settings: Sequence[str] = ()) -> list[Reranker]:
    """Re-rankers by name; a setting `k1=20` goes to all that have it.

    Raises:
        ConfigError: An unknown name or setting, or a value of the wrong kind.
    """
    chosen = {name: defaults(name) for name in names}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = "lambda_" if key == "lambda" else key
        owners = [params for params in chosen.values() if key in params]
        if not equals or not owners:
            known = sorted({known for params in chosen.values() for known in params})
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(
                f"--param {setting}: none of {', '.join(chosen)} has it",
                f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}",
            )
        for params in owners:
            params[key] = _converted(setting, text, params[key])
    return [Reranker(name, params) for name, params in chosen.items()]


def _converted(setting: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"--param {setting}: expected true or false")
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError:
        raise ConfigError(f"--param {setting}: expected {type(default).__name__}") from None
