"""Trains a person detector: pictures of the simulated world in, a checkpoint folder out.

`musewatch train detector configs/training/detector_nano.yaml`: the data, the network and the losses are here, the loop
is in `trainers/training/run.py`.
"""

import copy
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from engines.checkpoint import save_checkpoint
from engines.manifest import Manifest, Pixels, Preprocess, YoloxDecoder
from pipeline.errors import ConfigError
from pipeline.settings import ConfigPath
from trainers.detection.augment import PAD, Augmentation
from trainers.detection.batches import Batches
from trainers.detection.cells import make_cells
from trainers.detection.judge import judge
from trainers.detection.losses import Labels, detection_losses
from trainers.detection.picture_store import PictureStore
from trainers.metrics.boxes import BoxScores
from trainers.training.run import CHECKPOINT, NetworkSettings, Run, arithmetic, starting_network, unsaved
from trainers.training.state import Restorable

GREY_SPREAD = 64.0  # grey levels that make one unit of the input


class Config(NetworkSettings):
    """All that decides a run, but for seed and device."""

    pictures: tuple[ConfigPath, ...] = Field(min_length=1, description="Folders of `world frames`.")
    held_out: dict[str, ConfigPath] = Field(min_length=1, description="Folders that choose the best weights.")
    judged: dict[str, ConfigPath] = Field(default={}, description="Folders scored at the end, by name.")
    strides: tuple[int, ...] = Field(default=(8, 16, 32), description="Of its grids, finest first.")
    size: tuple[Pixels, Pixels] = Field(default=(256, 448), description="Height, width of the input.")
    early_size: tuple[Pixels, Pixels] | None = Field(default=None, description="Of the first, cheaper steps.")
    early_steps: int = Field(default=0, ge=0)
    augmentation: Augmentation = Augmentation()
    plain_steps: int = Field(default=0, ge=0, description="Last steps without mosaics.")
    least_visible: float = Field(default=0.3, ge=0, le=1, description="Hidden more: ignored.")
    least_px: float = Field(default=12, ge=0, description="Less tall in the input: ignored.")
    batch: int = Field(default=16, ge=1)
    rate: float = Field(default=2e-3, gt=0, le=10, description="Of AdamW, at its highest.")
    rate_floor: float = Field(default=0.02, ge=0, le=1, description="Share of it that is left at the end.")
    clip: float | None = Field(default=10.0, gt=0, description="Longest gradient; None = any.")
    box_weight: float = Field(default=4.0, ge=0, description="Of the boxes' loss; the scores' has 1.")
    average: float = Field(default=0.998, ge=0, lt=1, description="Of the weights, from step to step.")
    save_every: int = Field(default=100, ge=1, description="Steps.")

    @model_validator(mode="after")
    def _cells_fill_the_input(self) -> Self:
        if any(side % max(self.strides) for side in (*self.size, *(self.early_size or ()))):
            raise ValueError(f"sizes must be multiples of {max(self.strides)}, the coarsest stride")
        return self

    @model_validator(mode="after")
    def _parts_fit_the_run(self) -> Self:
        if (self.early_size is None) != (self.early_steps == 0):
            raise ValueError("early_size and early_steps are given together, or neither")
        if self.early_steps + self.plain_steps > self.steps:
            raise ValueError("early_steps and plain_steps are more than steps")
        return self

    def part(self, step: int) -> tuple[tuple[int, int], Augmentation]:
        """Input's size and augmentation of a step."""
        early = self.early_size if step < self.early_steps else None
        plain = step >= self.steps - self.plain_steps
        return early or self.size, self.augmentation.model_copy(update={"mosaic": 0.0} if plain else {})


def train_detector(
    config: Config, out: Path, seed: int = 0, device: str = "cpu", resume: bool = False
) -> Path:
    """Trains, judges and leaves the best network; returns its checkpoint folder.

    Raises:
        InputError: Pictures, or the state to go on from, are missing or damaged.
        ConfigError: The state belongs to another run, or the network is no detector.
        DivergedError: The loss is no number any more.
    """
    run = Run.open(out, seed, device, resume)
    return run.train(Detector(config, run), config)


class Detector:
    """The job: a network, and the running average of its weights, which is what is judged and kept."""

    kind = "detector"

    def __init__(self, config: Config, run: Run) -> None:
        self._config, self._run = config, run
        store = PictureStore(config.pictures)
        self._held_out, self._judged = (
            {name: PictureStore((folder,)) for name, folder in folders.items()}
            for folders in (config.held_out, config.judged)
        )
        self._batches = Batches(store, config.batch, run.seed, config.least_visible, config.least_px)
        self.data = [store.digest, *(held_out.digest for held_out in self._held_out.values())]
        self.learned = f"{len(store)} pictures of the simulated world, sha256:{store.digest}"

        network = starting_network(config, run)
        cells = getattr(network, "cells", None)
        if cells is None:
            raise ConfigError(
                f"network {config.network.use!r} is no detector that can be trained", "use nano_detector"
            )
        self._network, self._cells = network.train(), cells
        self.kept: nn.Module = copy.deepcopy(network).eval().requires_grad_(False)
        self.apart = list(network.parameters())
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            _groups(network, config.weight_decay), lr=config.rate
        )
        self.parts: dict[str, Restorable] = {"network": network, "average": self.kept}

    def begin(self) -> None:
        """Nothing: batches follow from the seed and the step."""

    def losses(self, step: int) -> dict[str, Tensor]:
        """Of batch number `step` of this process."""
        config, device = self._config, self._run.device
        size, augmentation = config.part(step - 1)
        number = (step - 1) * self._run.world.num_processes + self._run.world.process_index
        batch = self._batches.batch(number, size, augmentation)
        labels = Labels(*(part.to(device) for part in batch.labels))
        with arithmetic(config, device):
            coded, logits = self._cells(_tensor(batch.images, device))
        cells = make_cells(size, config.strides, str(device))
        losses = detection_losses(coded.float(), logits.float(), cells, labels)
        total = losses.score + config.box_weight * losses.box
        return {"loss": total, "score": losses.score, "box": losses.box}

    def descended(self, step: int) -> None:
        """The average follows."""
        _follow(self.kept, self._network, min(self._config.average, step / (step + 9)))

    def judge(self) -> tuple[float, dict[str, float]]:
        """By the sum of the average precisions of the held-out folders."""
        card = self._card("training")
        scores = {name: judge(self.kept, card, pictures) for name, pictures in self._held_out.items()}
        found = {f"{name} AP": score.ap for name, score in scores.items()}
        return sum(found.values()), found

    def conclude(self, provenance: str) -> Path:
        """Scores all folders and writes the checkpoint folder."""
        card = self._card(provenance)
        folders = self._held_out | self._judged
        accuracy = {name: _row(judge(self.kept, card, pictures)) for name, pictures in folders.items()}
        save_checkpoint(self._run.out / CHECKPOINT, self.kept, card.model_copy(update={"accuracy": accuracy}))
        return self._run.out / CHECKPOINT

    def _card(self, provenance: str) -> Manifest:
        config = self._config
        decoder = YoloxDecoder(kind="yolox", strides=config.strides)
        return unsaved(
            config, provenance, role="detector", preprocess=_preprocess(config.size), decoder=decoder
        )


def _row(score: BoxScores) -> dict[str, float]:
    """AP, and the recall at a precision of 0.9."""
    return {"people": score.people, "AP": round(score.ap, 4), "recall_at_0.9": round(score.recall, 4)}


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Biases and norms do not decay."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def _tensor(images: Any, device: torch.device) -> Tensor:
    """What the network eats of (N, H, W, 3) BGR uint8: as `_preprocess` tells the stream."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # channels last as it is
    return (pixels.float() - PAD) / GREY_SPREAD


def _preprocess(size: tuple[int, int]) -> Preprocess:
    return Preprocess(
        colour="bgr", mean=(PAD,) * 3, std=(GREY_SPREAD,) * 3, resize="letterbox_top_left", pad=PAD, size=size
    )


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """The running average of the weights; counters and the like are copied."""
    for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - keep)
        else:
            mine.copy_(theirs)
