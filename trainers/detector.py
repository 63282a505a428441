"""`train detector`: a person detector from pictures of the simulated world, from a config to a checkpoint folder.

Reads top to bottom: config, data, network, loop, judgement, checkpoint.
"""

import copy
import platform
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from engines.architectures import build_network
from engines.checkpoint import load_checkpoint, save_checkpoint
from engines.manifest import SCHEMA, UNSAVED, WEIGHTS, Manifest, Network, Pixels, Preprocess, YoloxDecoder
from pipeline.errors import ConfigError
from pipeline.settings import ConfigPath, PluginChoice, Settings
from trainers.detection.augment import PAD, Augmentation
from trainers.detection.batches import Batches
from trainers.detection.cells import make_cells
from trainers.detection.judge import judge
from trainers.detection.losses import Labels, detection_losses
from trainers.detection.picture_store import PictureStore
from trainers.metrics.boxes import BoxScores
from trainers.training.progress import Progress
from trainers.training.schedule import set_rate, warmup_cosine
from trainers.training.state import load_state, save_state

STATE, CHECKPOINT = "state.safetensors", "checkpoint"
GREY_SPREAD = 64.0  # grey levels that make one unit of the input


# ---- config -----------------------------------------------------------------------------------------------------


class Config(Settings):
    """All that decides a run, but for seed and device."""

    name: str = Field(description="Of the network that comes out.")
    licence: str = Field(description="Of its weights.")
    pictures: tuple[ConfigPath, ...] = Field(min_length=1, description="Folders of `world frames`.")
    held_out: dict[str, ConfigPath] = Field(min_length=1, description="Folders that choose the best weights.")
    judged: dict[str, ConfigPath] = Field(default={}, description="Folders scored at the end, by name.")
    network: PluginChoice = Field(description="An entry point of musewatch.network, and its arguments.")
    strides: tuple[int, ...] = Field(default=(8, 16, 32), description="Of its grids, finest first.")
    start: ConfigPath | None = Field(default=None, description="Checkpoint folder to begin from.")
    size: tuple[Pixels, Pixels] = Field(default=(256, 448), description="Height, width of the input.")
    early_size: tuple[Pixels, Pixels] | None = Field(default=None, description="Of the first, cheaper steps.")
    early_steps: int = Field(default=0, ge=0)
    augmentation: Augmentation = Augmentation()
    plain_steps: int = Field(default=0, ge=0, description="Last steps without mosaics.")
    least_visible: float = Field(default=0.3, ge=0, le=1, description="Hidden more: ignored.")
    least_px: float = Field(default=12, ge=0, description="Less tall in the input: ignored.")
    steps: int = Field(ge=1)
    batch: int = Field(default=16, ge=1)
    rate: float = Field(default=2e-3, gt=0, description="Of AdamW, at its greatest.")
    warmup: int = Field(default=200, ge=0, description="Steps.")
    weight_decay: float = Field(default=0.02, ge=0)
    box_weight: float = Field(default=4.0, ge=0, description="Of the boxes' loss; the scores' has 1.")
    average: float = Field(default=0.998, ge=0, lt=1, description="Of the weights, from step to step.")
    precision: Literal["fp32", "bf16"] = "bf16"
    judge_every: int = Field(default=500, ge=1, description="Steps.")
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
    """
    # ---- data ---------------------------------------------------------------------------------------------------
    store = PictureStore(config.pictures)
    held_out, judged = (
        {name: PictureStore((folder,)) for name, folder in folders.items()}
        for folders in (config.held_out, config.judged)
    )
    batches = Batches(store, config.batch, seed, config.least_visible, config.least_px)

    # ---- network ------------------------------------------------------------------------------------------------
    torch.manual_seed(seed)
    network = build_network(config.network.use, config.network.settings, f"network of {config.name}")
    if not hasattr(network, "cells"):
        raise ConfigError(
            f"network {config.network.use!r} is no detector that can be trained", "use nano_detector"
        )
    if config.start is not None:
        network.load_state_dict(load_checkpoint(config.start)[0].state_dict())
    network = network.to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(network, config.weight_decay), lr=config.rate)

    # ---- where it was -------------------------------------------------------------------------------------------
    provenance = _provenance(config, store, seed, device)
    run = {"config": config.model_dump(mode="json"), "seed": seed, "pictures": store.digest}
    best = _Best()
    parts = {"network": network, "average": average, "optimizer": optimizer, "best": best}
    done = load_state(out / STATE, parts, run) if resume else 0
    progress = Progress(out, config.steps, done)

    # ---- loop ---------------------------------------------------------------------------------------------------
    for step in range(done, config.steps):
        last = step + 1 == config.steps
        size, augmentation = config.part(step)
        batch = batches.batch(step, size, augmentation)
        cells = make_cells(size, config.strides, device)
        rate = set_rate(optimizer, warmup_cosine(step, config.steps, config.warmup, floor=0.02))
        labels = Labels(*(part.to(device) for part in batch.labels))
        with torch.autocast(torch.device(device).type, torch.bfloat16, config.precision == "bf16"):
            coded, logits = network.cells(_tensor(batch.images, device))
        losses = detection_losses(coded.float(), logits.float(), cells, labels)
        optimizer.zero_grad()
        (losses.score + config.box_weight * losses.box).backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        _follow(average, network, min(config.average, (step + 1) / (step + 10)))
        progress.step(
            step + 1,
            {"score": losses.score.item(), "box": losses.box.item(), "norm": float(norm), "rate": rate},
        )

        # once in a while: judge the averaged network, and keep the best
        if (step + 1) % config.judge_every == 0 or last:
            card = _card(config, provenance, step + 1)
            scores = {name: judge(average, card, pictures) for name, pictures in held_out.items()}
            progress.scores(step + 1, {f"{name} AP": score.ap for name, score in scores.items()})
            if best.is_better(sum(score.ap for score in scores.values())):
                save_checkpoint(out / CHECKPOINT, average, _with_accuracy(card, scores))

        # once in a while: make sure that a kill loses little
        if (step + 1) % config.save_every == 0 or last:
            save_state(out / STATE, parts, step + 1, run)
    progress.close()

    # ---- judgement, checkpoint ----------------------------------------------------------------------------------
    chosen, card = load_checkpoint(out / CHECKPOINT)
    scores = {name: judge(chosen, card, pictures) for name, pictures in judged.items()}
    save_checkpoint(out / CHECKPOINT, chosen, _with_accuracy(card, scores))
    return out / CHECKPOINT


# ---- parts of the loop ------------------------------------------------------------------------------------------


class _Best:
    """The best judgement so far."""

    def __init__(self) -> None:
        self._score = -1.0

    def is_better(self, score: float) -> bool:
        """Whether it is, from now on, the best."""
        better = score > self._score
        self._score = max(score, self._score)
        return better

    def state_dict(self) -> dict[str, Any]:
        return {"score": self._score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._score = float(state["score"])


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Biases and norms do not decay."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def _tensor(images: Any, device: str) -> Tensor:
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


def _provenance(config: Config, store: PictureStore, seed: int, device: str) -> str:
    hardware = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    begun = f", begun from {config.start.name}" if config.start else ""
    return (
        f"musewatch train detector, config {config.name}, seed {seed}, {config.steps} steps{begun}; "
        f"{len(store)} pictures of the simulated world, sha256:{store.digest}; torch {torch.__version__} on {hardware}"
    )


def _card(config: Config, provenance: str, step: int) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        name=config.name,
        role="detector",
        file=Path(WEIGHTS),
        sha256=UNSAVED,
        network=Network(use=config.network.use, arguments=config.network.settings),
        preprocess=_preprocess(config.size),
        decoder=YoloxDecoder(kind="yolox", strides=config.strides),
        licence=config.licence,
        provenance=provenance,
        accuracy={"step": step},
    )


def _with_accuracy(card: Manifest, scores: dict[str, BoxScores]) -> Manifest:
    """The card with AP, and the recall at a precision of 0.9."""
    rows = {
        name: {"people": score.people, "AP": round(score.ap, 4), "recall_at_0.9": round(score.recall, 4)}
        for name, score in scores.items()
    }
    return card.model_copy(update={"accuracy": card.accuracy | rows})
