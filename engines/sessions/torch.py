"""Networks run by torch: as they are on the processor; compiled, one CUDA graph a batch size, on a GPU.

The GPU runtime where TensorRT is absent, and everywhere the reference that other formats are held to.
"""

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.architectures import load_network
from engines.errors import EngineFileError, TensorError
from engines.manifest import Manifest, Precision
from engines.sessions.base import ANY_BATCH, Device, Tensors, TensorSpec, ladder

if TYPE_CHECKING:
    import torch

    from engines.sessions.torch_graphs import GraphRunner

INPUT = "pictures"
ROUNDED = {"fp16": "float16", "bf16": "bfloat16"}


class TorchSession:
    """A torch network on one device.

    Args:
        module: Is set to eval mode, moved to the device, and rounded there as the precision says.
        name: The engine's name, for messages.
        size: Height, width of a picture.
        precision: `fp16` and `bf16`: what torch holds safe is computed so, the rest in float32.
        max_batch: Most pictures of one run on a GPU; more are split.
        threads: Processor threads of one run; torch has one number for all its sessions.
        device: `auto` takes a GPU when there is one that works.

    Raises:
        EngineFileError: No GPU works and one was asked for; or the precision is not torch's.
        TensorError: The network cannot work on such pictures.
    """

    def __init__(
        self,
        module: "torch.nn.Module",
        name: str,
        size: tuple[int, int],
        *,
        precision: Precision = "fp32",
        max_batch: int = ANY_BATCH,
        threads: int = 1,
        device: Device = "auto",
    ) -> None:
        self._name = name
        self._threads = threads
        self._rounded = _rounded(name, precision)
        self._device = _device(name, device)
        self.provider: str = f"torch {self._device}"
        self._module = module.to(self._device).eval()
        if self._rounded:
            self._round()
        self._graphs: GraphRunner | None = None
        black = np.zeros((1, 3, *size), np.float32)
        answers = self._guarded(self._eager, black)
        self.inputs = (TensorSpec(INPUT, (None, 3, *size), "float32"),)
        self.outputs = tuple(
            TensorSpec(output, (None, *answer.shape[1:]), "float32")
            for output, answer in zip(output_names(len(answers)), answers, strict=True)
        )
        if self._device == "cuda":
            self._graphs = self._captured(size, max_batch)

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name for inputs by name.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        work = self._graphs.run if self._graphs else self._eager
        answers = self._guarded(work, np.asarray(feeds[INPUT], np.float32))
        return {spec.name: answer for spec, answer in zip(self.outputs, answers, strict=True)}

    def _guarded(self, work: Any, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            answers: list[NDArray[np.float32]] = work(pictures)
        except (RuntimeError, ValueError, IndexError) as error:
            raise TensorError(
                f"engine {self._name}: torch cannot run it: {' '.join(str(error).split())[:300]}",
                "compare the manifest's preprocess with what the network was made for",
            ) from error
        return answers

    def _eager(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        import torch

        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(pictures)).to(self._device)
            return [answer.cpu().numpy() for answer in self._forward(given)]

    def _captured(self, size: tuple[int, int], max_batch: int) -> "GraphRunner":
        from engines.sessions.torch_graphs import GraphRunner

        return GraphRunner(self._forward, (3, *size), ladder(1, max_batch), self._name)

    def _round(self) -> None:
        import torch

        from engines.sessions.torch_graphs import round_weights

        round_weights(self._module, getattr(torch, str(self._rounded)))

    def _forward(self, pictures: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
        """Answers in float32, on the network's device."""
        import torch

        rounding: Any = contextlib.nullcontext()
        if self._rounded:
            rounding = torch.autocast(self._device, getattr(torch, self._rounded), cache_enabled=False)
        with rounding:
            answers = self._module(pictures)
        return tuple(
            answer.float() for answer in ([answers] if isinstance(answers, torch.Tensor) else answers)
        )


def open_torch(manifest: Manifest, *, threads: int = 1, device: Device = "auto") -> TorchSession:
    """The session of a manifest whose file is safetensors.

    Args:
        manifest: With the key `network`.
        threads: Processor threads of one run.
        device: `auto` takes a GPU when there is one that works.

    Raises:
        ManifestError: The network is not known here, or a library opens and feeds it.
        EngineFileError: The weights are damaged or another network's, torch is missing, or no GPU works and one
            was asked for.
    """
    size = manifest.preprocess.size
    return TorchSession(
        load_network(manifest),
        manifest.name,
        size,
        precision=manifest.precision or "fp32",
        max_batch=manifest.max_batch or ANY_BATCH,
        threads=threads,
        device=device,
    )


def output_names(count: int) -> list[str]:
    """What the outputs are called.

    >>> output_names(1), output_names(2)
    (['answer'], ['answer_0', 'answer_1'])
    """
    return ["answer"] if count == 1 else [f"answer_{i}" for i in range(count)]


def _rounded(name: str, precision: Precision) -> str | None:
    """Name of the type, in torch, that sums may be rounded to."""
    if precision != "fp32" and precision not in ROUNDED:
        raise EngineFileError(
            f"engine {name}: torch does not run it in {precision} here",
            f"set precision to fp32, {' or '.join(ROUNDED)}, or build an .onnx file",
        )
    return ROUNDED.get(precision)


def _device(name: str, device: Device) -> str:
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise EngineFileError(
            f"engine {name}: device cuda is asked for, and torch finds no GPU here",
            "install the driver and a torch made for it, or set device: auto",
        )
    return "cpu"
