"""A training run on disk, whole: killed at any moment, it goes on as if nothing had happened.

One file holds everything: the tensors as safetensors, the rest as JSON in its header. It is written beside the old one
and takes its place in one step, so that a run killed while it writes goes on from the state before.
"""

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.errors import ConfigError, InputError

FORMAT = "musewatch.training/1"


class Restorable(Protocol):
    """What has a state: modules, optimisers, samplers, memories.

    The state is made of dicts, lists, tuples, tensors, numpy arrays and scalars, to any depth.
    """

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Goes on from there."""
        ...


def save_state(path: Path, parts: Mapping[str, Restorable], step: int, run: Mapping[str, Any]) -> None:
    """Writes the state of a run after `step` steps; the file is there entirely or not at all.

    The random generators of Python, numpy and torch (each CUDA device too) are saved along.

    Args:
        path: The file; what stood there is replaced.
        parts: By name; unwrapped (no DistributedDataParallel around a module).
        step: Steps done.
        run: What the run is (its config and seed), JSON; only the same run goes on from the file.
    """
    tensors: dict[str, torch.Tensor] = {}
    document = {
        "format": FORMAT,
        "step": step,
        "run": run,
        "random": _pack(_random_state(), tensors),
        "parts": {name: _pack(part.state_dict(), tensors) for name, part in parts.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    save_file(tensors, unfinished, {"state": json.dumps(document)})
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def load_state(path: Path, parts: Mapping[str, Restorable], run: Mapping[str, Any]) -> int:
    """Puts the parts and the random generators back where they were; returns the steps done.

    Call it last, when everything is built: what is drawn afterwards is what the killed run would have drawn.

    Raises:
        InputError: The file is missing or damaged, or holds other parts.
        ConfigError: It belongs to another run; the message names the first difference.
    """
    document, tensors = _read(path)
    _same_run(document["run"], json.loads(json.dumps(run)), path)
    if set(document["parts"]) != set(parts):
        raise InputError(f"{path} holds {sorted(document['parts'])}, expected {sorted(parts)}")
    for name, part in parts.items():
        part.load_state_dict(_unpack(document["parts"][name], tensors))
    _set_random_state(_unpack(document["random"], tensors))
    return int(document["step"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            document = json.loads((file.metadata() or {})["state"])
            return document, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"there is no state {path}", "start the run without --resume") from None
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path} is damaged, or no state of a run ({reason})", "remove it and start again"
        ) from None


def _same_run(saved: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    for key in sorted({*saved, *wanted}):
        if saved.get(key) != wanted.get(key):
            raise ConfigError(
                f"{path} belongs to another run: its {key} is {saved.get(key)!r}, not {wanted.get(key)!r}",
                "give another --out, or go on with the config it was begun with",
            )


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON of any nested state; its tensors are put aside under numbers."""
    if isinstance(value, torch.Tensor | np.ndarray):
        name = str(len(tensors))
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        tensors[name] = torch.as_tensor(value).detach().to("cpu", copy=True).contiguous()
        return {kind: name}
    if isinstance(value, Mapping):  # keys may be numbers, which JSON would make text
        return {"dict": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _unpack(packed: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    ((kind, held),) = packed.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "array":
        return tensors[held].numpy()
    if kind == "dict":
        return {key: _unpack(item, tensors) for key, item in held}
    items = [_unpack(item, tensors) for item in held]
    return tuple(items) if kind == "tuple" else items


def _random_state() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=True),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
