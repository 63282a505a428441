"""torch to ONNX: one file, any batch size, checked by onnx and against torch, with its manifest beside it.

torch's exporter by tracing bytecode (`dynamo=True`) is taken: the older one is deprecated, and warns.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.architectures import load_network
from engines.errors import EngineFileError
from engines.examine import sample_pictures
from engines.files import write_engine
from engines.manifest import UNSAVED, Manifest, Preprocess, TensorRt, load_manifest
from engines.network import try_out
from engines.preprocess import preprocess
from engines.sessions.ort import OrtSession
from engines.sessions.torch import INPUT, output_names
from pipeline.extras import cure

if TYPE_CHECKING:
    import torch

OPSET = 18  # the oldest that this exporter writes: what reads ONNX at all reads it
CHECKED_BATCHES = (1, 2, 5)
TOLERANCE = 1e-3  # of the largest value: float32 in another order of summation
MOST_BYTES = 2**31 - 1  # of one protobuf file


def export_onnx(checkpoint: Path, out: Path, *, tensorrt: TensorRt | None = None) -> Manifest:
    """Writes `out/NAME.onnx` and `out/NAME.yaml`; what is there already is replaced.

    Args:
        checkpoint: Folder with `network.yaml` and `weights.safetensors`, or any manifest of safetensors.
        out: Made when missing.
        tensorrt: Goes into the manifest.

    Returns:
        The manifest, as it was written.

    Raises:
        ManifestError: The manifest says something that it may not, or its network is not known here.
        EngineFileError: The weights are damaged, or another network's; the network cannot be exported, or its
            export answers otherwise than the network; `out` cannot be written.
    """
    source = load_manifest(checkpoint)
    target = as_onnx(source, out, precision="fp32", tensorrt=tensorrt)
    return write_engine(target, exported(source))


def as_onnx(source: Manifest, out: Path, **keys: Any) -> Manifest:
    """The manifest of an ONNX file in a folder that is made of another engine; its digest is still to come.

    Args:
        source: What it is made of.
        out: The folder.
        keys: Replace the source's.

    Raises:
        ManifestError: It would say something that it may not.
    """
    name = keys.get("name", source.name)
    keys = {
        "file": f"{name}.onnx",
        "sha256": UNSAVED,
        "network": None,
        "tensorrt": None,
        "openvino": None,
    } | keys
    return source.derived(out.resolve(), **keys)


def exported(source: Manifest) -> bytes:
    """The ONNX file of an engine of safetensors, checked.

    Raises:
        ManifestError: As `export_onnx`.
        EngineFileError: As `export_onnx`.
    """
    module = load_network(source)
    data = onnx_bytes(module, source.preprocess.size, f"engine {source.name}")
    _check(data, module, source)
    return data


def onnx_bytes(module: "torch.nn.Module", size: tuple[int, int], where: str) -> bytes:
    """A network in eval mode as an ONNX file; input `pictures` (any, 3, H, W), outputs `answer...`.

    Args:
        module: Takes (N, 3, H, W) float32, gives a tensor or a tuple of them, picture first.
        size: H, W.
        where: Whose it is, for messages.

    Raises:
        EngineFileError: It cannot be exported, or is too large for one file.
    """
    import torch

    example = torch.zeros(2, 3, *size)
    with torch.inference_mode():
        answers = module(example)
    names = output_names(1 if isinstance(answers, torch.Tensor) else len(answers))
    return graph_bytes(module, {INPUT: example}, names, ({0: torch.export.Dim("batch")},), where)


def graph_bytes(
    module: "torch.nn.Module",
    examples: "Mapping[str, torch.Tensor]",
    outputs: Sequence[str],
    free: tuple[Any, ...],
    where: str,
) -> bytes:
    """A module in eval mode as an ONNX file.

    Args:
        module: Takes tensors, gives a tensor or a tuple of them.
        examples: What it takes, by the names that the inputs get.
        outputs: Names of what it gives.
        free: Of each input, the sizes that stay free, as `torch.export` has them.
        where: Whose it is, for messages.

    Raises:
        EngineFileError: It cannot be exported, or is too large for one file.
    """
    import torch

    try:
        with _quiet():
            program: Any = torch.onnx.export(
                module,
                tuple(examples.values()),
                input_names=list(examples),
                output_names=list(outputs),
                dynamic_shapes=free,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        model = program.model_proto
    except ImportError as error:
        raise EngineFileError(
            f"{where}: ONNX cannot be written here: {error}",
            cure(["train"]),
        ) from error
    except Exception as error:  # the exporter has no base class of its own
        raise EngineFileError(
            f"{where}: torch cannot export it: {_line(error)}",
            "rewrite what it names; the batch size must stay free",
        ) from error
    if model.ByteSize() > MOST_BYTES:
        raise EngineFileError(
            f"{where}: more than 2 GB, which one ONNX file cannot hold", "take a smaller network"
        )
    _forget_origin(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _forget_origin(model: Any) -> None:
    """Takes out what the exporter notes of this machine: stack traces with the paths of our sources."""
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def _check(data: bytes, module: "torch.nn.Module", source: Manifest) -> None:
    """Refuses a file that onnx finds wrong, or that answers otherwise than torch."""
    import onnx
    import torch

    try:
        onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    except onnx.checker.ValidationError as error:
        raise EngineFileError(f"engine {source.name}: the export is no valid ONNX: {_line(error)}") from error
    session = OrtSession(data, source.name, device="cpu")
    try_out(as_onnx(source, Path()), session)
    for batch in CHECKED_BATCHES:
        pictures = _input_tensor(source.preprocess, batch)
        with torch.inference_mode():
            answers = module(torch.from_numpy(pictures))
        expected = [answers] if isinstance(answers, torch.Tensor) else list(answers)
        given = session.run({INPUT: pictures})
        for (name, found), wanted in zip(given.items(), expected, strict=True):
            _compare(f"engine {source.name}: {name} at batch {batch}", found, wanted.numpy())


def _input_tensor(settings: Preprocess, batch: int) -> NDArray[np.float32]:
    return preprocess(sample_pictures(batch, settings.size), settings)[0]


def _compare(where: str, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    if found.shape != wanted.shape:
        raise EngineFileError(
            f"{where}: ONNX gives {found.shape}, torch {wanted.shape}", "the batch must stay free"
        )
    difference = float(np.abs(found - wanted).max(initial=0)) / max(
        1e-6, float(np.abs(wanted).max(initial=0))
    )
    if not difference <= TOLERANCE:
        raise EngineFileError(
            f"{where}: ONNX and torch differ by {difference:.2g} of the largest value, more than {TOLERANCE}",
            "look for what depends on the batch or on the pictures: branches, in-place changes, random numbers",
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress and advice."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
