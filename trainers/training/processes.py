"""One process, or several under torchrun or accelerate: the same few verbs for both."""

import os
from typing import Any

import torch


class OneProcess:
    """The run is alone; what accelerate's `Accelerator` does among several is nothing here."""

    process_index = 0
    num_processes = 1
    is_main_process = True

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def prepare_model(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module on its device."""
        return module.to(self.device)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients."""
        loss.backward()

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The rows of all processes."""
        return tensor

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        """The mean over all processes."""
        return tensor


def processes(device: str) -> Any:
    """`OneProcess`, or where torchrun or `accelerate launch` started several, an `Accelerator`."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return OneProcess(device)
    from accelerate import Accelerator

    return Accelerator(cpu=device == "cpu")
