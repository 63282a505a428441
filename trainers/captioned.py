"""Trains an embedder that reads: pictures of people against what is said of them, as CLIP learns; no identities.

`musewatch train captions configs/training/captions.yaml`: ends with the checkpoint of the picture tower and, beside it,
`reader.safetensors`, the tower that reads. Embedder `captions` serves both.
"""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from engines.checkpoint import save_checkpoint
from engines.manifest import Manifest
from pipeline.output import say
from trainers.datasets.search import PictureSearch
from trainers.encoder import FEATURES, READER, LearnedPeople, PeopleSettings
from trainers.evaluate.feature_set import FeatureSet
from trainers.judging import at_cut, embed, judge, need_ranking, operating_point, scores
from trainers.losses.captions import CaptionSettings, caption_loss
from trainers.training.run import CHECKPOINT, Run, arithmetic, spare_memory, starting_network, unsaved
from trainers.training.state import Restorable


class Config(PeopleSettings):
    """A whole training run."""

    captions: CaptionSettings = Field(default=CaptionSettings(), description="The tower that reads.")


def train_captions(
    config: Config, out: Path, seed: int = 0, device: str = "cpu", resume: bool = False
) -> Path:
    """Trains, judges, saves; returns the checkpoint folder `out/checkpoint`.

    Beside it: `features/NAME.npz` of every judged set, whose queries are texts.

    Raises:
        ConfigError: Pictures that are not stretched to RGB, or a state of another run.
        InputError: A set cannot be read, or nothing is said of a picture.
        EngineError: The network cannot be built, or `start` cannot be read.
        DivergedError: The loss is no number any more.
    """
    run = Run.open(out, seed, device, resume)
    return run.train(CaptionedEmbedder(config, run), config)


class CaptionedEmbedder:
    """The job."""

    kind = "captions"

    def __init__(self, config: Config, run: Run) -> None:
        self._config, self._run = config, run
        self._search = config.held_out.described()
        need_ranking(self._search, str(config.held_out.folder))
        self._set = LearnedPeople(config, run, self._search)
        self.data, self.learned = self._set.digests, self._set.learned
        network = starting_network(config, run)
        spare_memory(network, config.checkpointing)
        with torch.inference_mode():
            shown = network.eval()(torch.zeros(1, 3, *config.preprocess.size, device=run.device))
        loss = caption_loss(config.captions, self._set.people.samples, shown.shape[1])
        self._network, self._loss = network, loss.to(run.device)
        self._domains = torch.from_numpy(self._set.people.domain_of).to(run.device)
        self._module = run.world.prepare_model(network.train())
        self.kept: torch.nn.Module = torch.nn.ModuleDict({"network": network, "reader": loss.reader})
        self.apart = list(loss.parameters())
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            [
                {"params": list(network.parameters()), "weight_decay": config.weight_decay},
                {"params": self.apart, "weight_decay": 0.0, "lr": config.rate * config.loss_rate},
            ],
            lr=config.rate,
        )
        self.parts: dict[str, Restorable] = {
            "network": network,
            "captions": loss,
            "sampler": self._set.sampler,
        }

    def begin(self) -> None:
        """Nothing."""

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        """Of a batch drawn at random."""
        batch, identities, numbers = self._set.draw()
        with arithmetic(self._config, self._run.device):
            rows = self._module(batch)
        return {"loss": self._loss(rows.float(), identities, self._domains[identities], numbers)}

    def descended(self, step: int) -> None:
        """Nothing."""

    def judge(self) -> tuple[float, dict[str, float]]:
        """How well the texts of the held-out set find its pictures."""
        found = scores(self._read(self._search), "text_to_image")
        return found["mAP"], found

    def conclude(self, provenance: str) -> Path:
        """Scores every judged set by its texts and writes both towers; a cut, where pictures search pictures too."""
        config, out = self._config, self._run.out
        found = self._read(self._search)
        accuracy = {"held_out": scores(found, "text_to_image")}
        for name, choice in config.judged.items():
            judged = self._read(choice.described())
            judged.save(out / FEATURES / f"{name}.npz")
            accuracy[name] = scores(judged, "text_to_image")
        say("\n".join(f"{name}: {score}" for name, score in accuracy.items()))
        dimension = found.query_features.shape[1]
        seen = {"role": "embedder", "preprocess": config.preprocess, "dimension": dimension}
        card = unsaved(config, provenance, **seen, accuracy=accuracy)
        save_checkpoint(out / CHECKPOINT, self._network, self._with_cut(card))
        self._loss.reader.save(out / CHECKPOINT / READER)
        return out / CHECKPOINT

    def _with_cut(self, card: Manifest) -> Manifest:
        """The cut of the held-out set's pictures, where it has one."""
        choice, device = self._config.held_out, self._run.device
        if not choice.has_pictures_search():
            return card
        judged = judge(self._network, self._config.preprocess, choice.searched(), device)
        cut = operating_point(judged, choice.folder.name)
        accuracy = card.accuracy | {"held_out by pictures": at_cut(judged, cut.max_distance)}
        return card.model_copy(update={"operating_point": cut, "accuracy": accuracy})

    def _read(self, search: PictureSearch) -> FeatureSet:
        """Rows of every text of the queries, and of the gallery's pictures."""
        reader, network = self._loss.reader.eval(), self._network
        arrays = search.arrays(
            lambda samples: embed(network, self._config.preprocess, samples, self._run.device),
            lambda texts: np.concatenate(
                [reader.read(texts[at : at + 256]).numpy() for at in range(0, len(texts), 256)]
            ),
        )
        reader.train()
        return FeatureSet.of(arrays)
