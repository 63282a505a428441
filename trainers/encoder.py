"""Trains an embedder: people of one or many domains in, a checkpoint folder with its cut and its scores out.

`musewatch train encoder configs/training/encoder_small.yaml`: the data, the network and the losses are here, the loop
is in `trainers/training/run.py`.
"""

from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from engines.checkpoint import save_checkpoint
from engines.manifest import Preprocess
from pipeline.errors import ConfigError
from pipeline.output import say
from pipeline.settings import Settings
from trainers.augment import Augment, AugmentSettings
from trainers.datasets.search import PictureSearch
from trainers.distillation import (
    Distillation,
    DistillationSettings,
    joined_vectors,
    unlabelled,
    with_teachers,
)
from trainers.evaluate.feature_cache import FeatureCache
from trainers.judging import at_cut, embed, judge, need_judgement, operating_point, scores
from trainers.losses.captions import CaptionSettings, caption_loss
from trainers.losses.heads import LEVELS, Levels, levels_of
from trainers.losses.texts import TextSettings, learn_texts
from trainers.losses.together import EmbedderLoss, LossSettings
from trainers.people import Pictures, SetChoice, gather, need_strangers
from trainers.sampling import DomainSampler
from trainers.training.run import (
    CHECKPOINT,
    EARLY,
    NetworkSettings,
    Run,
    arithmetic,
    spare_memory,
    starting_network,
    unsaved,
)
from trainers.training.state import Restorable

FEATURES, READER, VECTORS = "features", "reader.safetensors", "vectors"


class Batch(Settings):
    """What a step sees: domains x people x pictures."""

    domains: int = Field(default=1, ge=1)
    people: int = Field(default=8, ge=1, description="Of each domain.")
    pictures: int = Field(default=4, ge=1, description="Of each person.")


class PeopleSettings(NetworkSettings):
    """What every training on labelled people has beside the frame's keys."""

    train: tuple[SetChoice, ...] = Field(min_length=1, description="Sets to learn from.")
    held_out: SetChoice = Field(description="Chooses the best weights and the cut; nobody of it is learned.")
    judged: dict[str, SetChoice] = Field(default={}, description="Sets scored at the end, by name.")
    preprocess: Preprocess = Field(description="As the engine will do it; colour must be rgb, stretched.")
    batch: Batch = Batch()
    augment: AugmentSettings = AugmentSettings()
    loss_rate: float = Field(
        default=1.0, gt=0, description="Rate of the losses' weights, in units of the network's."
    )
    checkpointing: bool = Field(default=False, description="Less memory, a third more time.")
    keep_pictures: bool = Field(default=True, description="Decoded in memory.")
    threads: int = Field(default=1, ge=1, description="That decode pictures.")


class Config(PeopleSettings):
    """A whole training run."""

    centroids: bool = Field(
        default=False, description="Losses begin at the mean embedding of each person: for trained starts."
    )
    losses: LossSettings = LossSettings()
    texts: TextSettings | None = Field(default=None, description="CLIP-ReID's two stages; for clip_vit.")
    captions: CaptionSettings | None = Field(
        default=None, description="Pictures are held against what is said of them, as CLIP learns."
    )
    teacher: Annotated[DistillationSettings, BeforeValidator(with_teachers)] | None = Field(
        default=None,
        description="Other embedders whose vectors are learned: a manifest, several, or more keys.",
    )


def train_encoder(
    config: Config, out: Path, seed: int = 0, device: str = "cpu", resume: bool = False
) -> Path:
    """Trains, judges, saves; returns the checkpoint folder `out/checkpoint`.

    Beside it: `features/NAME.npz` of every judged set for `musewatch evaluate features`.

    Raises:
        ConfigError: Pictures that are not stretched to RGB, or a state of another run.
        InputError: A data set or a state cannot be read, or the held-out set cannot judge.
        EngineError: The network cannot be built, or `start` cannot be read.
        DivergedError: The loss is no number any more.
    """
    run = Run.open(out, seed, device, resume)
    return run.train(Encoder(config, run), config)


class LearnedPeople:
    """The data of a training on people, ready for its steps.

    Args:
        config: Of the run.
        run: Where it goes.
        search: Of the held-out set.

    Raises:
        ConfigError: Pictures that are not stretched to RGB.
        InputError: A set cannot be read, or somebody of the held-out set is learned.
    """

    def __init__(self, config: PeopleSettings, run: Run, search: PictureSearch) -> None:
        need_stretched_rgb(config.preprocess)
        self.people = gather(config.train)
        say(str(self.people))
        digest = self.people.digest()
        self.digests = [digest, need_strangers(self.people, config.held_out, search)]
        self.learned = f"{self.people}, sha256:{digest}"
        self.pictures = Pictures(
            self.people.samples, config.preprocess.size, config.keep_pictures, config.threads
        )
        shape = (config.batch.domains, config.batch.people, config.batch.pictures)
        seed = run.seed * 1000 + run.world.process_index
        self.sampler = DomainSampler(self.people.identities, self.people.domain_of, shape, seed)
        self._augment = Augment(config.augment)
        self._normalise = Normalise(config.preprocess).to(run.device)
        self._device = run.device

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalised pictures (B, 3, H, W), who they show (B,), and their numbers among all (B,)."""
        rows = self.sampler.draw()
        identities = torch.from_numpy(self.people.identities[rows]).to(self._device)
        return self.prepared(self.pictures.take(rows)), identities, torch.from_numpy(rows).to(self._device)

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, H, W) in [0, 1] as the network is fed them: changed, normalised, on its device."""
        batch: torch.Tensor = self._normalise(self._augment(pictures.to(self._device)))
        return batch.contiguous(memory_format=torch.channels_last)


class Encoder:
    """The job."""

    kind = "encoder"

    def __init__(self, config: Config, run: Run) -> None:
        self._config, self._run = config, run
        self._search = config.held_out.searched()
        need_judgement(self._search, str(config.held_out.folder))
        self._set = LearnedPeople(config, run, self._search)
        self.data, self.learned = self._set.digests, self._set.learned
        people = self._set.people

        network = starting_network(config, run)
        spare_memory(network, config.checkpointing)
        self._network = network
        self._levelled = config.losses.heads in LEVELS or config.texts is not None
        shown = torch.zeros(1, 3, *config.preprocess.size, device=run.device)
        with torch.inference_mode():
            dimension = network.eval()(shown).shape[1]
            widths = [level.shape[1] for level in levels_of(network, shown)] if self._levelled else []
        self._module = run.world.prepare_model(network.train())

        told = config.captions
        captions = caption_loss(told, people.samples, dimension) if told else None
        domains = torch.from_numpy(people.domain_of)
        self._losses = EmbedderLoss(
            config.losses, domains, dimension, widths, config.texts, captions
        ).to(run.device)  # fmt: skip
        self._reader = captions.reader if captions else None
        self._taught = Taught(config, config.teacher, run, self._set, dimension) if config.teacher else None
        self.kept: torch.nn.Module = torch.nn.ModuleDict(
            {"network": network} | ({"reader": self._reader} if self._reader else {})
        )
        self.apart = [each for each in self._losses.parameters() if each.requires_grad]
        if self._taught is not None:
            self.data, self.learned = [*self.data, *self._taught.digests], self._taught.learned
            self.apart += self._taught.distillation.parameters()
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in network.parameters() if p.requires_grad],
                    "weight_decay": config.weight_decay,
                },
                {"params": self.apart, "weight_decay": 0.0, "lr": config.rate * config.loss_rate},
            ],
            lr=config.rate,
        )
        self.parts: dict[str, Restorable] = {
            "network": network,
            "losses": self._losses,
            "sampler": self._set.sampler,
        }
        if self._taught is not None:
            self.parts["distillation"] = self._taught.distillation
        self._seen: tuple[torch.Tensor, torch.Tensor]

    def begin(self) -> None:
        """What the losses take from the network before the first step, if the config wants it."""
        config, people, device = self._config, self._set.people, self._run.device
        if config.centroids:
            chosen = _some_of_each(people.identities, len(people.domain_of))
            rows = embed(self._network, config.preprocess, [people.samples[row] for row in chosen], device)
            sums = torch.zeros(len(people.domain_of), rows.shape[1])
            sums.index_add_(0, torch.from_numpy(people.identities[chosen]), torch.from_numpy(rows))
            self._losses.start_from(torch.nn.functional.normalize(sums, dim=1).to(device))
        if config.texts is not None:
            tower = Projected(self._network)
            rows = embed(tower, config.preprocess, people.samples, device)
            known = torch.from_numpy(people.identities).to(device)
            learned = learn_texts(
                torch.from_numpy(rows).to(device),
                known,
                len(people.domain_of),
                config.texts,
                self._run.place / EARLY,
                self._run.identity(self, config),
            )
            self._losses.texts.copy_(learned)

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        """Of a batch drawn at random."""
        batch, identities, numbers = self._set.draw()
        labelled, seen = len(batch), numbers
        if self._taught is not None:
            batch, seen = self._taught.with_more(batch, numbers)
        levels: Levels = ()
        with arithmetic(self._config, self._run.device):
            if self._levelled:
                levels = tuple(level.float() for level in self._module(batch, levels=True))
                rows = cast(Any, self._network).row(levels)
            else:
                rows = self._module(batch)
        rows = rows.float()
        own = rows[:labelled]
        self._seen = own.detach(), identities
        levels = tuple(level[:labelled] for level in levels)
        found: dict[str, torch.Tensor] = self._losses(own, identities, numbers, levels)
        if self._taught is None:
            return found
        taught: dict[str, torch.Tensor] = self._taught.distillation(rows, seen)
        return found | taught | {"loss": found["loss"] + taught["taught"]}

    def descended(self, step: int) -> None:
        """The memory follows the rows of all processes."""
        rows, identities = self._seen
        self._losses.prototypes.update(self._run.world.gather(rows), self._run.world.gather(identities))

    def judge(self) -> tuple[float, dict[str, float]]:
        """By the held-out set's own rule."""
        judged = judge(self._network, self._config.preprocess, self._search, self._run.device)
        found = scores(judged, self._search.rule)
        return found["mAP"], found

    def conclude(self, provenance: str) -> Path:
        """Scores every judged set, chooses the cut, and writes the checkpoint folder."""
        config, out, network = self._config, self._run.out, self._network
        if self._reader is not None:
            self._reader.save(out / READER)
        held_out = judge(network, config.preprocess, self._search, self._run.device)
        cut = operating_point(held_out, config.held_out.folder.name)
        accuracy = {"held_out": scores(held_out, self._search.rule) | at_cut(held_out, cut.max_distance)}
        for name, choice in config.judged.items():
            search = choice.searched()
            judged = judge(network, config.preprocess, search, self._run.device)
            judged.save(out / FEATURES / f"{name}.npz")
            accuracy[name] = scores(judged, search.rule) | at_cut(judged, cut.max_distance)
        say("\n".join(f"{name}: {found}" for name, found in accuracy.items()))
        card = unsaved(
            config,
            provenance,
            role="embedder",
            preprocess=config.preprocess,
            dimension=held_out.query_features.shape[1],
            accuracy=accuracy,
            operating_point=cut,
        )
        save_checkpoint(out / CHECKPOINT, network, card)
        return out / CHECKPOINT


class Taught:
    """What teachers know of the learned pictures, and of more without labels.

    Args:
        config: Of the run.
        teacher: What of it is said of teachers.
        run: Where it goes; teachers' vectors are kept there.
        learned: The labelled people.
        dimension: Of our rows.

    Raises:
        EngineError: A teacher cannot be opened.
        InputError: A picture cannot be read, or one without labels is of the held-out set.
    """

    def __init__(
        self,
        config: PeopleSettings,
        teacher: DistillationSettings,
        run: Run,
        learned: LearnedPeople,
        dimension: int,
    ) -> None:
        self._learned, self._first = learned, len(learned.people.samples)
        samples, said = learned.people.samples, learned.learned
        self._pictures, digests = None, []
        if teacher.folders:
            more = unlabelled(teacher.folders)
            need_strangers(more, config.held_out, config.held_out.searched())
            self._pictures = Pictures(
                more.samples, config.preprocess.size, config.keep_pictures, config.threads
            )
            samples, digests = (*samples, *more.samples), [more.digest()]
            said += f", {len(more.samples)} pictures without labels, sha256:{digests[0]}"
        self._count, self._all = teacher.count, len(samples) - self._first
        with FeatureCache(run.place / VECTORS) as cache:
            vectors, teachers = joined_vectors(teacher.engines, samples, cache)
        self.digests = [*digests, *teachers]
        self.learned = f"{said}, taught by {', '.join(teachers)}"
        self.distillation = Distillation(teacher, vectors, dimension).to(run.device)

    def with_more(self, batch: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch (B, 3, H, W) and its pictures' numbers (B,), with pictures without labels behind."""
        if self._pictures is None:
            return batch, numbers
        rows = torch.randint(self._all, (self._count,))
        more = self._learned.prepared(self._pictures.take(rows.numpy()))
        return torch.cat([batch, more]), torch.cat([numbers, (rows + self._first).to(numbers)])


def need_stretched_rgb(settings: Preprocess) -> None:
    """Checks that pictures are fed as training reads them.

    Raises:
        ConfigError: Otherwise.
    """
    if (settings.colour, settings.resize) != ("rgb", "stretch"):
        raise ConfigError("training reads pictures as rgb, stretched", "say so in preprocess")


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


class Projected(torch.nn.Module):
    """A tower's rows in CLIP's common space, of unit length, whatever it gives at search."""

    def __init__(self, tower: torch.nn.Module) -> None:
        super().__init__()
        self._tower = tower

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, D) unit rows."""
        return torch.nn.functional.normalize(levels_of(self._tower, pictures)[-1].float(), dim=1)


def _some_of_each(identities: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows of up to four pictures of each person."""
    order = np.argsort(identities, kind="stable")
    groups = np.split(order, np.searchsorted(identities[order], np.arange(1, count)))
    return np.concatenate([own[:: max(1, len(own) // 4)][:4] for own in groups])
