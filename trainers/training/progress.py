"""What a run says: a line now and then with the time left, every step in `log.jsonl`, TensorBoard when installed."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.output import say

LOG = "log.jsonl"
EVERY_S = 10.0


class Progress:
    """Follows the steps of a run.

    Args:
        out: The run's folder; `log.jsonl` and TensorBoard's files go there.
        steps: Of the whole run.
        done: Steps that a resumed run has behind it; later lines of the log are dropped.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, out: Path, steps: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._steps, self._first, self._clock = steps, done, clock
        self._start = self._said = clock()
        self._log = _log_from(out / LOG, done)
        self._board = _board(out, done)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Step number `step` (from 1) is done; `values` are its losses, rates and so on."""
        self._write(step, values)
        now = self._clock()
        if now - self._said >= EVERY_S or step == self._steps:
            self._said = now
            say(self.line(step, values, now - self._start))

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """What was measured after that step: logged, and said at once."""
        self._write(step, values)
        say(f"step {step}: " + _named(values))

    def line(self, step: int, values: Mapping[str, float], passed_s: float) -> str:
        """What there is to say after that time."""
        pace = passed_s / max(1, step - self._first)
        left = f"{pace:.3g} s a step, {_length(pace * (self._steps - step))} left"
        return f"step {step} of {self._steps}: {_named(values)}; {left}"

    def close(self) -> None:
        """No more steps."""
        self._log.close()
        self._board.close()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        self._log.write(json.dumps({"step": step, **values}) + "\n")
        self._log.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)


class _NoBoard:
    """TensorBoard where it is not installed."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _board(out: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return _NoBoard()
    return SummaryWriter(str(out / "tensorboard"), purge_step=done + 1)


def _log_from(path: Path, done: int) -> Any:
    """The log with its lines up to that step, open to go on; a last line cut off by a kill is dropped."""
    kept = []
    if done:
        try:
            kept = path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
    behind = [line for line in kept if line.endswith("\n") and json.loads(line)["step"] <= done]
    path.write_text("".join(behind), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def _named(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _length(seconds: float) -> str:
    """A time as people say it.

    >>> _length(45), _length(150), _length(8000)
    ('45 s', '2 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
