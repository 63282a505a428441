"""One frame for every training: its keys, its loop, what a kill must not lose, and where it ends.

A job says what is learned (`losses`), how good it is (`judge`) and what comes out (`conclude`); the frame does all
else. `trainers/encoder.py`, `trainers/detector.py`, `trainers/captioned.py` and `trainers/verifier.py` are jobs.
"""

import contextlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from accelerate import Accelerator
from pydantic import Field, model_validator
from torch import Tensor, nn

from engines.architectures import build_network
from engines.checkpoint import load_checkpoint
from engines.manifest import CARD, SCHEMA, UNSAVED, WEIGHTS, Manifest, Network, load_manifest
from pipeline.errors import ConfigError, MusewatchError
from pipeline.output import say
from pipeline.settings import ConfigPath, PluginChoice, Settings
from trainers.training.best import Best
from trainers.training.progress import Progress
from trainers.training.schedule import set_rate, warmup_cosine
from trainers.training.state import Restorable, load_state, save_state

STATE, EARLY, BEST, CHECKPOINT = "state.safetensors", "early.safetensors", "best.safetensors", "checkpoint"


class DivergedError(MusewatchError):
    """The loss or the weights are no numbers any more: more steps would learn nothing."""


class RunSettings(Settings):
    """What every training is told; a job adds keys of its own."""

    FORMER: ClassVar[Mapping[str, str]] = {"decay": "weight_decay", "judge_every": "evaluate_every"}

    name: str = Field(description="Of the network that comes out.")
    licence: str = Field(description="Of its weights.")
    start: ConfigPath | None = Field(
        default=None, description="Begin from it: a checkpoint folder, or other people's weights."
    )
    steps: int = Field(ge=1)
    rate: float = Field(gt=0, le=10, description="Of AdamW, at its highest.")
    rate_floor: float = Field(default=1e-3, ge=0, le=1, description="Share of it that is left at the end.")
    warmup: float = Field(default=0.06, ge=0, le=1, description="Share of the steps.")
    weight_decay: float = Field(default=0.02, ge=0, description="Of the network's weights.")
    clip: float | None = Field(default=None, gt=0, description="Longest gradient; None = any.")
    precision: Literal["fp32", "bf16"] = "bf16"
    evaluate_every: int = Field(default=500, ge=1, description="Steps.")
    save_every: int = Field(default=250, ge=1, description="Steps.")

    @model_validator(mode="before")
    @classmethod
    def _former_keys(cls, document: Any) -> Any:
        """Older configs name some keys otherwise, and count the warm-up in steps."""
        if not isinstance(document, Mapping):
            return document
        keys = dict(document)
        for former, name in cls.FORMER.items():
            if former in keys and name not in keys:
                keys[name] = keys.pop(former)
                say(f"{former} is called {name} now")
        warmup, steps = keys.get("warmup"), keys.get("steps")
        if isinstance(warmup, int) and isinstance(steps, int) and warmup > 0:
            keys["warmup"] = min(1.0, warmup / steps)
            say(f"warmup is a share of the steps now: {warmup} steps are {keys['warmup']:.4g}")
        return keys


class NetworkSettings(RunSettings):
    """Of the jobs whose network an entry point builds."""

    network: PluginChoice = Field(description="An entry point of musewatch.network, and its arguments.")


class Job(Protocol):
    """What one training has of its own.

    Attributes:
        kind: As the command line calls it.
        kept: What is judged, kept as the best and put into the checkpoint.
        optimizer: Of all that is learned.
        apart: Parameters outside of the network, whose gradients the processes of a run have to share.
        parts: What a kill must not lose, by name, beside the optimiser and the best score.
        data: Digests of what is learned and of what judges.
        learned: What the data is, for the record.
    """

    kind: str
    kept: nn.Module
    optimizer: torch.optim.Optimizer
    apart: list[nn.Parameter]
    parts: dict[str, Restorable]
    data: list[str]
    learned: str

    def begin(self) -> None:
        """What comes before the first step, and not again when a run goes on."""
        ...

    def losses(self, step: int) -> dict[str, Tensor]:
        """Those of step number `step`, from 1, by name; `loss` is what the step descends."""
        ...

    def descended(self, step: int) -> None:
        """What follows the optimiser's step."""
        ...

    def judge(self) -> tuple[float, dict[str, float]]:
        """How good `kept` is on what it does not learn: the number that chooses the best, and all that is told."""
        ...

    def conclude(self, provenance: str) -> Path:
        """Judges the best weights, which are in `kept` again, and writes the checkpoint folder."""
        ...


@dataclass(frozen=True)
class Run:
    """A training as the command line asks for it.

    Under torchrun or `accelerate launch` every process draws its own batches and keeps its own state, the others in
    `DIR/process-N`.

    Attributes:
        out: Its folder.
        seed: Equal seeds give equal runs on equal hardware and libraries.
        resume: Go on where it was stopped.
        world: The process among its like.
    """

    out: Path
    seed: int
    resume: bool
    world: Any

    @classmethod
    def open(cls, out: Path, seed: int, device: str, resume: bool) -> "Run":
        """Seeds torch and joins the other processes.

        Raises:
            ConfigError: There is no such device.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"there is no device {device!r} here", "train with --device cpu")
        if ":" in device:
            torch.cuda.set_device(device)
        torch.manual_seed(seed)
        return cls(out, seed, resume, Accelerator(cpu=device == "cpu"))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        device: torch.device = self.world.device
        return device

    @property
    def place(self) -> Path:
        """Folder of this process."""
        return self.out if self.world.is_main_process else self.out / f"process-{self.world.process_index}"

    def train(self, job: Job, settings: RunSettings) -> Path:
        """The loop: step; now and then judge, now and then save; at the end the best weights; the checkpoint folder.

        Beside it: `log.jsonl` with every step's losses, `state.safetensors` to go on from, `best.safetensors`.

        Raises:
            ConfigError: A state of another run.
            InputError: The state cannot be read.
            DivergedError: The loss or the weights are no numbers. The best weights until then are in the checkpoint.
        """
        best = Best(self.place / BEST)
        parts = {**job.parts, "optimizer": job.optimizer, "best": best}
        done = self._begin(job, settings, parts)
        progress = Progress(self.place, settings.steps, done)
        diverged: DivergedError | None = None
        try:
            for step in range(done + 1, settings.steps + 1):
                progress.step(step, self._descend(job, settings, step))
                last = step == settings.steps
                if last or step % settings.evaluate_every == 0 or step % settings.save_every == 0:
                    _need_numbers(job, step)
                if last or step % settings.evaluate_every == 0:
                    score, told = job.judge()
                    progress.scores(step, told)
                    best.offer(job.kept, score, step)
                if last or step % settings.save_every == 0:
                    save_state(self.place / STATE, parts, step, self.identity(job, settings))
        except DivergedError as error:
            if not best.step:
                raise
            diverged = error
        finally:
            progress.close()
        best.restore(job.kept)
        folder = self.out / CHECKPOINT
        if self.world.is_main_process:
            folder = job.conclude(self._provenance(job, settings, best.step))
        if diverged is not None:
            raise DivergedError(
                diverged.problem, f"the best weights, of step {best.step}, are in {folder}; {diverged.fix}"
            )
        return folder

    def identity(self, job: Job, settings: RunSettings) -> dict[str, Any]:
        """What the run is; only the same one goes on from its state."""
        return {
            "seed": self.seed,
            "config": settings.model_dump(mode="json"),
            "processes": self.world.num_processes,
            "data": job.data,
        }

    def _begin(self, job: Job, settings: RunSettings, parts: Mapping[str, Restorable]) -> int:
        """Goes on from the state, or begins; the steps done."""
        state, early = self.place / STATE, self.place / EARLY
        if self.resume and (state.exists() or not early.exists()):
            return load_state(state, parts, self.identity(job, settings))
        if not self.resume:
            early.unlink(missing_ok=True)
        job.begin()
        if early.exists():  # what it cost is not lost any more, whenever the run is killed
            save_state(state, parts, 0, self.identity(job, settings))
            early.unlink()
        return 0

    def _descend(self, job: Job, settings: RunSettings, step: int) -> dict[str, float]:
        """One step down the gradient that all processes share; what there is to log."""
        warmup = round(settings.warmup * settings.steps)
        factor = warmup_cosine(step - 1, settings.steps, warmup, settings.rate_floor)
        rate = set_rate(job.optimizer, factor)
        losses = job.losses(step)
        told = {name: float(value.detach()) for name, value in losses.items()} | {"rate": rate}
        if not self.world.gather(losses["loss"].detach().float()).isfinite().all():
            raise _diverged(step, f"the loss is {told['loss']}")
        job.optimizer.zero_grad(set_to_none=True)
        self.world.backward(losses["loss"])
        for parameter in job.apart:  # those of the network are already everybody's
            if parameter.grad is not None:
                parameter.grad = self.world.reduce(parameter.grad, "mean")
        if settings.clip is not None:
            everything = [each for group in job.optimizer.param_groups for each in group["params"]]
            told["norm"] = float(nn.utils.clip_grad_norm_(everything, settings.clip))
        job.optimizer.step()
        job.descended(step)
        return told

    def _provenance(self, job: Job, settings: RunSettings, step: int) -> str:
        on_gpu = self.device.type == "cuda"
        hardware = torch.cuda.get_device_name(self.device) if on_gpu else platform.machine()
        begun = f", begun from {_origin(settings.start)}" if settings.start else ""
        return (
            f"musewatch train {job.kind}, config {settings.name}, seed {self.seed}, step {step} of {settings.steps}"
            f"{begun}; {job.learned}; torch {torch.__version__} on {hardware}"
        )


def starting_network(settings: NetworkSettings, run: Run) -> nn.Module:
    """From nothing, from a checkpoint of ours, or from weights that the architecture itself can read; on its device.

    Raises:
        EngineError: The network cannot be built, or `start` cannot be read.
        ConfigError: `start` holds another network.
    """
    choice, start = settings.network, settings.start
    network = build_network(choice.use, choice.settings, f"network of {settings.name}")
    if start is not None and (start / CARD).exists():
        trained, card = load_checkpoint(start)
        held = card.network and card.network.use
        if held != choice.use:
            raise ConfigError(f"{start} holds a network {held!r}, not {choice.use!r}")
        network.load_state_dict(trained.state_dict())
    elif start is not None:
        fill = getattr(network, "fill", None)
        if fill is None:
            raise ConfigError(f"{start} is no checkpoint, and {choice.use!r} reads nobody else's weights")
        fill(start)
    placed: Any = network  # torch's own types do not know `memory_format`
    on_device: nn.Module = placed.to(run.device, memory_format=torch.channels_last)
    return on_device


def spare_memory(network: Any, wanted: bool) -> None:
    """Whether a network makes its inner maps again for the gradients, instead of keeping them."""
    network.checkpointing = wanted


def unsaved(settings: NetworkSettings, provenance: str, **more: Any) -> Manifest:
    """The manifest of a trained network before it is on disk.

    Args:
        settings: Of its training.
        provenance: Where its weights come from.
        more: What its role adds: `role`, `preprocess`, and so on.
    """
    network = Network(use=settings.network.use, arguments=settings.network.settings)
    return Manifest(
        schema=SCHEMA,
        name=settings.name,
        file=Path(WEIGHTS),
        sha256=UNSAVED,
        network=network,
        licence=settings.licence,
        provenance=provenance,
        **more,
    )


def arithmetic(settings: RunSettings, device: torch.device) -> Any:
    """Where the network's arithmetic is done; the losses always have 32 bits."""
    if settings.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _need_numbers(job: Job, step: int) -> None:
    learned = (weight for group in job.optimizer.param_groups for weight in group["params"])
    if not all(bool(weight.detach().isfinite().all()) for weight in learned):
        raise _diverged(step, "weights are no numbers any more")


def _diverged(step: int, how: str) -> DivergedError:
    return DivergedError(f"the training diverged at step {step}: {how}", "lower the rate, or warm up longer")


def _origin(start: Path) -> str:
    """Which weights these are."""
    if not (start / CARD).exists():
        return start.name
    card = load_manifest(start)
    return f"{card.name} ({card.provenance}), weights sha256:{card.sha256}"
