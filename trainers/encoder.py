"""Trains an embedder: people of one or many domains in, a checkpoint folder with its cut and its scores out.

`musewatch train encoder configs/training/encoder_small.yaml` reads this file from top to bottom. A killed run goes on
exactly with `--resume`.
"""

import contextlib
import platform
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file

from engines.architectures import build_network
from engines.checkpoint import load_checkpoint, save_checkpoint
from engines.manifest import CARD, SCHEMA, UNSAVED, WEIGHTS, Manifest, Network, Preprocess, load_manifest
from pipeline.errors import ConfigError
from pipeline.output import say
from pipeline.settings import ConfigPath, PluginChoice, Settings
from trainers.augment import Augment, AugmentSettings
from trainers.datasets.search import PictureSearch
from trainers.judging import at_cut, embed, judge, need_judgement, operating_point, scores
from trainers.losses.captions import CaptionSettings, Reader, caption_loss
from trainers.losses.texts import TextSettings, learn_texts
from trainers.losses.together import EmbedderLoss, LossSettings
from trainers.people import People, Pictures, SetChoice, gather, need_strangers
from trainers.sampling import DomainSampler
from trainers.training.best import Best
from trainers.training.processes import processes
from trainers.training.progress import Progress
from trainers.training.schedule import set_rate, warmup_cosine
from trainers.training.state import load_state, save_state

STATE, BEST, FEATURES, READER = "state.safetensors", "best.safetensors", "features", "reader.safetensors"


class Batch(Settings):
    """What a step sees: domains x people x pictures."""

    domains: int = Field(default=1, ge=1)
    people: int = Field(default=8, ge=1, description="Of each domain.")
    pictures: int = Field(default=4, ge=1, description="Of each person.")


class Config(Settings):
    """A whole training run."""

    name: str = Field(description="Of the network that comes out.")
    licence: str = Field(description="Of its weights.")
    train: tuple[SetChoice, ...] = Field(min_length=1, description="Sets to learn from.")
    held_out: SetChoice = Field(description="Chooses the best weights and the cut; nobody of it is learned.")
    judged: dict[str, SetChoice] = Field(default={}, description="Sets scored at the end, by name.")
    network: PluginChoice = Field(description="An entry point of musewatch.network, and its arguments.")
    start: ConfigPath | None = Field(
        default=None, description="Begin from it: a checkpoint folder, or other people's weights."
    )
    centroids: bool = Field(
        default=False, description="Losses begin at the mean embedding of each person: for trained starts."
    )
    preprocess: Preprocess = Field(description="As the engine will do it; colour must be rgb, stretched.")
    losses: LossSettings = LossSettings()
    texts: TextSettings | None = Field(
        default=None, description="CLIP-ReID's two stages; for clip_vit, no neck."
    )
    captions: CaptionSettings | None = Field(
        default=None, description="Pictures are held against what is said of them, as CLIP learns."
    )
    batch: Batch = Batch()
    augment: AugmentSettings = AugmentSettings()
    steps: int = Field(ge=1)
    rate: float = Field(gt=0, description="Highest learning rate of the network.")
    loss_rate: float = Field(default=1.0, gt=0, description="That of the losses' weights, in units of it.")
    warmup: float = Field(default=0.06, ge=0, le=1, description="Share of the steps.")
    decay: float = Field(default=0.02, ge=0, description="Weight decay of the network.")
    precision: Literal["fp32", "bf16"] = "bf16"
    checkpointing: bool = Field(default=False, description="Less memory, a third more time.")
    evaluate_every: int = Field(default=500, ge=1, description="Steps.")
    save_every: int = Field(default=250, ge=1, description="Steps.")
    keep_pictures: bool = Field(default=True, description="Decoded in memory.")
    threads: int = Field(default=1, ge=1, description="That decode pictures.")


def train_encoder(
    config: Config, out: Path, seed: int = 0, device: str = "cpu", resume: bool = False
) -> Path:
    """Trains, judges, saves; returns the checkpoint folder `out/checkpoint`.

    Beside it: `log.jsonl` with every step's losses, `features/NAME.npz` of every judged set for `musewatch evaluate
    features`, `state.safetensors` to go on from. Equal seeds give equal runs on equal hardware and libraries.

    Under torchrun or `accelerate launch` every process draws its own batches and keeps its own state, the others in
    `DIR/process-N`.

    Raises:
        ConfigError: Pictures that are not stretched to RGB, or a state of another run.
        InputError: A data set or a state cannot be read.
        EngineError: The network cannot be built, or `start` cannot be read.
    """
    if (config.preprocess.colour, config.preprocess.resize) != ("rgb", "stretch"):
        raise ConfigError("training reads pictures as rgb, stretched", "say so in preprocess")
    world = processes(device)
    place = out if world.is_main_process else out / f"process-{world.process_index}"
    torch.manual_seed(seed)

    # --- 1. data: everybody numbered, batches of domains x people x pictures ----------
    people, held_out, data = _read_data(config)
    pictures = Pictures(people.samples, config.preprocess.size, config.keep_pictures, config.threads)
    shape = (config.batch.domains, config.batch.people, config.batch.pictures)
    sampler = DomainSampler(people.identities, people.domain_of, shape, seed * 1000 + world.process_index)
    augment = Augment(config.augment)
    normalise = Normalise(config.preprocess).to(world.device)

    # --- 2. network: unit rows, from nothing or from a checkpoint ----------------------
    network = _network(config).to(world.device, memory_format=torch.channels_last)
    network.checkpointing = config.checkpointing
    with torch.inference_mode():
        dimension = network.eval()(torch.zeros(1, 3, *config.preprocess.size, device=world.device)).shape[1]
    module = world.prepare_model(network.train())

    # --- 3. losses, optimiser, what a kill must not lose --------------------------------
    captions = caption_loss(config.captions, people.samples, dimension)
    losses = EmbedderLoss(
        config.losses, torch.from_numpy(people.domain_of), dimension, config.texts, captions
    )
    losses = losses.to(world.device)
    kept = torch.nn.ModuleDict({"network": network} | ({"reader": captions.reader} if captions else {}))
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in network.parameters() if p.requires_grad], "weight_decay": config.decay},
            {"params": losses.parameters(), "weight_decay": 0.0, "lr": config.rate * config.loss_rate},
        ],
        lr=config.rate,
    )
    best = Best(place / BEST)
    parts = {"network": network, "losses": losses, "optimizer": optimizer, "sampler": sampler, "best": best}
    run = {
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "processes": world.num_processes,
        "data": data,
    }
    if not resume:
        _prepare(losses, network, config, people)
    done = load_state(place / STATE, parts, run) if resume else 0
    progress = Progress(place, config.steps, done)

    # --- 4. loop: step; now and then measure, now and then save --------------------------
    for step in range(done + 1, config.steps + 1):
        set_rate(optimizer, warmup_cosine(step - 1, config.steps, round(config.warmup * config.steps), 1e-3))
        rows = sampler.draw()
        batch = normalise(augment(pictures.take(rows).to(world.device)))
        identities = torch.from_numpy(people.identities[rows]).to(world.device)
        with _precision(config.precision, world.device):
            embeddings = module(batch.contiguous(memory_format=torch.channels_last))
        values = losses(embeddings.float(), identities, torch.from_numpy(rows).to(world.device))
        _descend(world, optimizer, losses, values["loss"])
        losses.prototypes.update(world.gather(embeddings.detach().float()), world.gather(identities))
        progress.step(step, {name: float(value.detach()) for name, value in values.items()})
        if step % config.evaluate_every == 0 or step == config.steps:
            found = scores(judge(network, config.preprocess, held_out, world.device), held_out.rule)
            progress.scores(step, found)
            best.offer(kept, found["mAP"], step)
        if step % config.save_every == 0 or step == config.steps:
            save_state(place / STATE, parts, step, run)
    progress.close()

    # --- 5. judge and save: the best weights ---------------------------------------------
    kept.load_state_dict(load_file(place / BEST))
    if not world.is_main_process:
        return out / "checkpoint"
    return _conclude(config, out, kept, _provenance(config, people, seed, best.step, device))


def _read_data(config: Config) -> tuple[People, PictureSearch, list[str]]:
    """Who is learned, the search that chooses the best weights, and the digests of both."""
    people, held_out = gather(config.train), config.held_out.searched()
    say(str(people))
    need_judgement(held_out, str(config.held_out.folder))
    return people, held_out, [people.digest(), need_strangers(people, config.held_out)]


def _conclude(
    config: Config,
    out: Path,
    kept: torch.nn.ModuleDict,
    provenance: str,
) -> Path:
    """Scores the network on every judged set, chooses its cut, and writes its checkpoint folder."""
    network = kept["network"]
    if "reader" in kept:
        cast(Reader, kept["reader"]).save(out / READER)
    device = next(network.parameters()).device
    search = config.held_out.searched()
    held_out = judge(network, config.preprocess, search, device)
    cut = operating_point(held_out, config.held_out.folder.name)
    accuracy: dict[str, Any] = {
        "held_out": scores(held_out, search.rule) | at_cut(held_out, cut.max_distance)
    }
    for name, choice in config.judged.items():
        search = choice.searched()
        judged = judge(network, config.preprocess, search, device)
        judged.save(out / FEATURES / f"{name}.npz")
        accuracy[name] = scores(judged, search.rule) | at_cut(judged, cut.max_distance)
    say("\n".join(f"{name}: {found}" for name, found in accuracy.items()))
    card = Manifest(
        schema=SCHEMA,
        name=config.name,
        role="embedder",
        file=Path(WEIGHTS),
        sha256=UNSAVED,
        network=Network(use=config.network.use, arguments=config.network.settings),
        preprocess=config.preprocess,
        dimension=held_out.query_features.shape[1],
        licence=config.licence,
        provenance=provenance,
        accuracy=accuracy,
        operating_point=cut,
    )
    save_checkpoint(out / "checkpoint", network, card)
    return out / "checkpoint"


class Normalise(torch.nn.Module):
    """The arithmetic of a manifest's preprocessing, on (N, 3, H, W) RGB in [0, 1]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, settings: Preprocess) -> None:
        super().__init__()
        self._scale = 255 * settings.scale
        self.register_buffer("mean", torch.tensor(settings.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(settings.std).view(3, 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(x * scale - mean) / std."""
        return (pictures * self._scale - self.mean) / self.std


def _network(config: Config) -> torch.nn.Module:
    """From nothing, from a checkpoint of ours, or from weights that the architecture itself can read."""
    choice, start = config.network, config.start
    network = build_network(choice.use, choice.settings, f"network of {config.name}")
    if start is not None and (start / CARD).exists():
        trained, card = load_checkpoint(start)
        if card.network is None or card.network.use != choice.use:
            raise ConfigError(
                f"{start} holds a network {card.network and card.network.use!r}, not {choice.use!r}"
            )
        network.load_state_dict(trained.state_dict())
    elif start is not None:
        if not hasattr(network, "fill"):
            raise ConfigError(f"{start} is no checkpoint, and {choice.use!r} reads nobody else's weights")
        network.fill(start)
    return network


def _descend(
    world: Any,
    optimizer: torch.optim.Optimizer,
    losses: EmbedderLoss,
    loss: torch.Tensor,
) -> None:
    """One step down the gradient that all processes share."""
    optimizer.zero_grad(set_to_none=True)
    world.backward(loss)
    for parameter in losses.parameters():  # those of the network are already everybody's
        if parameter.grad is not None:
            parameter.grad = world.reduce(parameter.grad, "mean")
    optimizer.step()


def _precision(precision: str, device: torch.device) -> Any:
    """Where the network's arithmetic is done; the losses always have 32 bits."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _prepare(losses: EmbedderLoss, network: torch.nn.Module, config: Config, people: People) -> None:
    """What the losses take from the network before the first step, if the config wants it."""
    count, device = len(people.domain_of), losses.texts.device
    if config.centroids:
        chosen = _some_of_each(people.identities, count)
        rows = embed(network, config.preprocess, [people.samples[row] for row in chosen], device)
        sums = torch.zeros(count, rows.shape[1])
        sums.index_add_(0, torch.from_numpy(people.identities[chosen]), torch.from_numpy(rows))
        losses.start_from(torch.nn.functional.normalize(sums, dim=1).to(device))
    if config.texts is not None:
        rows = embed(network, config.preprocess, people.samples, device)
        known = torch.from_numpy(people.identities).to(device)
        losses.texts.copy_(learn_texts(torch.from_numpy(rows).to(device), known, count, config.texts))


def _some_of_each(identities: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows of up to four pictures of each person."""
    order = np.argsort(identities, kind="stable")
    groups = np.split(order, np.searchsorted(identities[order], np.arange(1, count)))
    return np.concatenate([own[:: max(1, len(own) // 4)][:4] for own in groups])


def _provenance(config: Config, people: People, seed: int, step: int, device: str) -> str:
    hardware = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    begun = f", begun from {_origin(config.start)}" if config.start else ""
    return (
        f"musewatch train encoder, config {config.name}, seed {seed}, step {step} of {config.steps}{begun}; "
        f"{people}, sha256:{people.digest()}; torch {torch.__version__} on {hardware}"
    )


def _origin(start: Path) -> str:
    """Which weights these are."""
    if not (start / CARD).exists():
        return start.name
    card = load_manifest(start)
    return f"{card.name} ({card.provenance}), weights sha256:{card.sha256}"
