"""Tunes a verifier: a language model that looks at two pictures and says whether they show one person.

`musewatch train verifier configs/training/verifier_muse.yaml`: an embedder finds hard pairs, the model learns the one
word that answers, the embedder's shortlists judge it, and a merged engine comes out. The loop is in
`trainers/training/run.py`.

Source: MUSE, 4.2 (adaptation of a multimodal language model to re-identification).
"""

from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator

from engines.manifest import (
    SCHEMA,
    UNSAVED,
    Manifest,
    OperatingPoint,
    Positive,
    Preprocess,
    load_manifest,
)
from engines.prompts import Layout, Prompt
from engines.shelf import EnginePath
from pipeline.output import say
from pipeline.settings import ConfigPath, Settings, checked, read_yaml
from trainers.augment import Augment, AugmentSettings
from trainers.encoder import Normalise, need_stretched_rgb
from trainers.evaluate.encoding import Encoding
from trainers.evaluate.feature_cache import FeatureCache
from trainers.judging import need_ranking
from trainers.people import Pictures, SetChoice, gather, need_strangers
from trainers.training.run import CHECKPOINT, Run, RunSettings, arithmetic
from trainers.training.state import Restorable
from trainers.verification.answering import Answering
from trainers.verification.comparing import begin_comparing
from trainers.verification.mining import Labels, MiningSettings, mine
from trainers.verification.pair_batches import BatchSettings, PairBatches
from trainers.verification.pair_network import PairNetwork, answer_loss
from trainers.verification.shortlists import PLAIN, RERANKED, JudgeSettings, Shortlists
from trainers.verification.small_model import Geometry, small_network, small_tokenizer
from trainers.verification.teacher import Teacher, TeacherSettings
from trainers.verification.tuned_model import NETWORK, LoraSettings, TunedModel, from_folder, hub_folder

VECTORS = "vectors"
Part = Literal["system", "task", "rules", "form", "first", "second", "cue"]


class PromptChoice(Settings):
    """What is asked."""

    file: ConfigPath = Field(description="Parts of the question, such as configs/prompts/pair.yaml.")
    without: tuple[Part, ...] = Field(default=(), description="Parts that are left out.")

    def read(self) -> Prompt:
        """The question.

        Raises:
            ConfigError: The file is missing, or has keys that it may not have.
        """
        prompt = checked(Prompt, read_yaml(self.file, "prompt"), str(self.file))
        return prompt.model_copy(update=dict.fromkeys(self.without, ""))


class Config(RunSettings):
    """A whole training run; it begins from one of `start`, `model` and `network`."""

    model: str | None = Field(
        default=None, description="Begin from a model in the hub's cache of this machine, by its name there."
    )
    network: Geometry | None = Field(default=None, description="Begin from nothing, at this size.")
    lora: LoraSettings | None = Field(default=None, description="null = every weight is learned.")
    train: tuple[SetChoice, ...] = Field(min_length=1, description="Sets to learn from.")
    held_out: SetChoice = Field(
        description="Chooses the best weights, alpha and the cut; nobody of it is learned."
    )
    judged: dict[str, SetChoice] = Field(default={}, description="Sets scored at the end, by name.")
    embedder: EnginePath = Field(
        description="Finds hard pairs and shortlists: a manifest, or a name in `engines list`."
    )
    mining: MiningSettings = MiningSettings()
    teacher: TeacherSettings | None = Field(
        default=None,
        description="An embedder that shows the first steps to a network that begins from nothing.",
    )
    prompt: PromptChoice
    layout: Layout = "rules_first"
    answers: tuple[str, str] = Field(
        default=("Yes", "No"), description="For one person and for two; one token each."
    )
    tau: Positive = Field(default=5.0, description="Temperature of the logits, in the manifest too.")
    preprocess: Preprocess = Field(description="As the engine will do it; colour must be rgb, stretched.")
    batch: BatchSettings = BatchSettings()
    augment: AugmentSettings = AugmentSettings()
    among: Literal["words", "answers"] = Field(
        default="words",
        description="The loss wants the right one of all words, as published, or of the answers.",
    )
    judge: JudgeSettings = JudgeSettings()
    checkpointing: bool = Field(default=False, description="Less memory, a third more time.")
    keep_pictures: bool = Field(default=True, description="Decoded in memory.")
    threads: int = Field(default=1, ge=1, description="That decode pictures.")

    @model_validator(mode="after")
    def _begins_from_one(self) -> Self:
        if sum(each is not None for each in (self.start, self.model, self.network)) != 1:
            raise ValueError("give one of start, model and network: what the training begins from")
        return self


def train_verifier(
    config: Config, out: Path, seed: int = 0, device: str = "cpu", resume: bool = False
) -> Path:
    """Tunes, judges, saves; returns the engine's folder `out/checkpoint`, which `verifier: {use: lmm}` runs.

    Raises:
        ConfigError: Pictures that do not fit, layers that are not there, or a state of another run.
        InputError: A data set or a state cannot be read, or the held-out set cannot judge.
        EngineError: The model or the embedder cannot be opened, or the tokenizer lacks an answer.
        DivergedError: The loss is no number any more.
    """
    run = Run.open(out, seed, device, resume)
    return run.train(Verifier(config, run), config)


class Verifier:
    """The job."""

    kind = "verifier"

    def __init__(self, config: Config, run: Run) -> None:
        need_stretched_rgb(config.preprocess)
        self._config, self._run = config, run
        self._prompt = config.prompt.read()
        self._tuned = _beginning(config, self._prompt, run)
        pair_network = PairNetwork(
            self._tuned.network, self._tuned.tokenizer, self._prompt, config.layout, config.answers,
            config.preprocess.size,
        )  # fmt: skip
        if config.network is not None and config.network.compares:
            begin_comparing(pair_network)
        held_out = config.held_out.searched()
        need_ranking(held_out, str(config.held_out.folder))
        self._people = gather(config.train)
        say(str(self._people))
        digest = self._people.digest()
        strangers = need_strangers(self._people, config.held_out, held_out)
        self._cache = FeatureCache(run.place / VECTORS)
        self._encoding = Encoding.by_engine(config.embedder, self._cache)
        self._embedded_by = self._encoding.digest
        self.data = [digest, strangers, self._embedded_by, *self._tuned.digests]
        self.learned = f"{self._people}, sha256:{digest}, hard for {self._embedded_by}"
        self._held_out = self._shortlists(config.held_out)
        self._batches = self._mined()
        self._teacher = self._taught()

        if config.lora is not None:
            self._tuned.adapt(config.lora)
        if config.checkpointing:
            self._tuned.network.activation_checkpointing_enable({"use_reentrant": False})
        self._network = pair_network.to(run.device).train()
        learned = [weight for weight in pair_network.parameters() if weight.requires_grad]
        self._module = run.world.prepare_model(self._network)
        self.kept: torch.nn.Module = torch.nn.ParameterList(learned)
        self.apart = list(self._teacher.parameters()) if self._teacher else []
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            [*learned, *self.apart], lr=config.rate, weight_decay=config.weight_decay
        )
        self.parts: dict[str, Restorable] = {"learned": self.kept}
        if self._teacher:
            self.parts["teacher"] = self._teacher
        self._pictures = Pictures(
            self._people.samples, config.preprocess.size, config.keep_pictures, config.threads
        )
        self._augment = Augment(config.augment)
        self._normalise = Normalise(config.preprocess).to(run.device)
        self._answering = Answering(
            self._network, config.preprocess, config.tau, config.judge.pairs, config.judge.pictures_mb
        )

    def begin(self) -> None:
        """Nothing: batches follow from the seed and the step."""

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        """Of batch number `step` of this process; `right` is the share of right answers."""
        config, device, world = self._config, self._run.device, self._run.world
        batch = self._batches.batch((step - 1) * world.num_processes + world.process_index)
        pictures = self._normalise(self._augment(self._pictures.take(batch.rows).to(device)))
        first, second, same = (
            torch.from_numpy(each).to(device) for each in (batch.first, batch.second, batch.same)
        )
        with arithmetic(config, device):
            logits, tokens = self._module(pictures, first, second)
        answers, wanted, more = self._network.answer_tokens, same, {}
        if self._teacher is not None:
            rows = torch.from_numpy(batch.rows).to(device)
            wanted = self._teacher.wanted(same, rows[first], rows[second])
            more = {"teacher": self._teacher.weighted(tokens, rows)}
        answer = answer_loss(logits, wanted, answers, among_all=config.among == "words")
        yes, no = logits.detach()[:, list(answers)].T
        right = ((yes > no) == same).float().mean()
        return {"loss": sum(more.values(), answer), "answer": answer, "right": right, **more}

    def descended(self, step: int) -> None:
        """Nothing."""

    def judge(self) -> tuple[float, dict[str, float]]:
        """By the AUC over all pairs of the held-out set's shortlists."""
        p_no = self._held_out.ask(self._answering)
        auc = self._held_out.auc(p_no)
        alpha = self._held_out.best_alpha(p_no)
        return auc["AUC"], auc | {"alpha": alpha} | self._held_out.scores(p_no, alpha)

    def conclude(self, provenance: str) -> Path:
        """Chooses alpha and the cut, scores every judged set, and writes the engine's folder."""
        config = self._config
        p_no = self._held_out.ask(self._answering)
        alpha = self._held_out.best_alpha(p_no)
        accuracy: dict[str, Any] = {"held_out": self._scored(self._held_out, alpha)}
        for name, choice in config.judged.items():
            accuracy[name] = self._scored(self._shortlists(choice), alpha)
        say("\n".join(f"{name}: {found}" for name, found in accuracy.items()))
        card = self._card(provenance).model_copy(
            update={"alpha": alpha, "accuracy": accuracy, "operating_point": self._point(alpha)}
        )
        self._tuned.save(self._run.out / CHECKPOINT, card)
        return self._run.out / CHECKPOINT

    def _point(self, alpha: float) -> OperatingPoint:
        """Where a hit begins; of the weight 0 where it does without a verifier."""
        config, own = self._config, load_manifest(self._config.embedder).operating_point
        worked_with: dict[str, Any] = {"embedder": self._embedded_by, "alpha": alpha, "tau": config.tau}
        if own is not None and not alpha:
            return own.model_copy(update=worked_with)
        return OperatingPoint(
            max_distance=round(self._held_out.cut(self._answering, alpha), 3),
            chosen_on=f"1% of strangers' pictures taken for one of 20 enrolled people ({config.held_out.folder.name})",
            **worked_with,
        )

    def _scored(self, lists: Shortlists, alpha: float) -> dict[str, Any]:
        p_no = lists.ask(self._answering)
        return {
            **lists.auc(p_no),
            **lists.scores(p_no, alpha, PLAIN),
            RERANKED: lists.scores(p_no, alpha, RERANKED),
        }

    def _card(self, provenance: str) -> Manifest:
        config = self._config
        return Manifest(
            schema=SCHEMA,
            name=config.name,
            role="verifier",
            file=Path(NETWORK),
            sha256=UNSAVED,
            licence=config.licence,
            provenance=provenance,
            preprocess=config.preprocess,
            prompt=self._prompt,
            answers=config.answers,
            layout=config.layout,
            tau=config.tau,
        )

    def _shortlists(self, choice: SetChoice) -> Shortlists:
        return Shortlists(choice.searched(), self._encoding.vectors, self._config.judge, str(choice.folder))

    def _mined(self) -> PairBatches:
        people, config = self._people, self._config
        labels = Labels(
            people.identities,
            torch.tensor([sample.camera for sample in people.samples]).numpy(),
            people.domain_of[people.identities],
        )
        pairs = mine(self._encoding.vectors(people.samples), labels, config.mining, self._run.seed)
        return PairBatches(pairs, people.identities, config.batch, self._run.seed)

    def _taught(self) -> Teacher | None:
        """The teacher, which has seen all that is learned."""
        told = self._config.teacher
        if told is None:
            return None
        encoding = Encoding.by_engine(told.engine, self._cache)
        vectors = encoding.vectors(self._people.samples)
        self.data.append(encoding.digest)
        self.learned += f", taught by {encoding.digest}"
        width = self._tuned.network.get_input_embeddings().embedding_dim
        return Teacher(told, torch.from_numpy(vectors), width).to(self._run.device)


def _beginning(config: Config, prompt: Prompt, run: Run) -> TunedModel:
    """What is tuned, before it is."""
    if config.network is not None:
        tokenizer = small_tokenizer(_said(prompt), config.answers)
        return TunedModel(small_network(config.network, tokenizer), tokenizer)
    folder = config.start or hub_folder(str(config.model))
    half = config.lora is not None and config.precision == "bf16" and run.device.type == "cuda"
    return from_folder(folder, torch.bfloat16 if half else torch.float32)


def _said(prompt: Prompt) -> list[str]:
    """All that a question says, with the words of its turns."""
    return [f"system\n{prompt.system}", "user\n", "assistant\n", *prompt.model_dump().values()]
