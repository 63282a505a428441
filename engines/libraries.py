"""Libraries that open weights themselves: without a hub, and without words of their own."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pipeline.errors import ConfigError

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


@contextmanager
def offline() -> Iterator[None]:
    """Libraries imported or used inside never reach for a hub; the environment is as before afterwards."""
    hub = sys.modules.get("huggingface_hub.constants")
    if hub is not None:  # somebody else imported it, and it has read the environment already
        hub.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    before = {name: os.environ.get(name) for name in _OFFLINE}
    os.environ.update(_OFFLINE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def opening(who: str, path: Path) -> Iterator[None]:
    """Opens weights without the library's own words; whatever it raises means that they are no use.

    Args:
        who: Opens them, in the words of the error: embedder timm.
        path: The weights.

    Raises:
        ConfigError: With the start of the library's error.
    """
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # else the first word of a library sets up a handler of its own
    disabled = root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with offline(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ConfigError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{who} cannot open {path}: {type(error).__name__}: {reason}",
            "fetch the weights and all the files beside them again",
        ) from error
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)


def pick_device(wanted: str) -> str:
    """`cuda` or `cpu`.

    Raises:
        ConfigError: A GPU is wanted, and torch finds none.
    """
    there = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("device is cuda, but torch finds no GPU that works", "set device: cpu or auto")
    return "cuda" if there else "cpu"
