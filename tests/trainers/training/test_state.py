import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError, InputError  # noqa: E402
from trainers.training.state import load_state, save_state  # noqa: E402

pytestmark = pytest.mark.torch
RUN = {"seed": 1, "config": {"steps": 9}}


class Draws:
    """A sampler: a numpy generator with a state."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def state_dict(self) -> dict[str, Any]:
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]


class Toy:
    """A run in small: every kind of randomness goes into the weights."""

    def __init__(self) -> None:
        self.module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout())
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=0.1)
        self.draws = Draws(3)
        self.parts = {"module": self.module, "optimizer": self.optimizer, "draws": self.draws}

    def step(self) -> float:
        shift = random.random() + float(np.random.random()) + float(self.draws.rng.random())
        loss = self.module(torch.randn(8, 4) + shift).square().sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


def test_a_run_goes_on_exactly(tmp_path: Path) -> None:
    toy = Toy()
    for _ in range(3):
        toy.step()
    save_state(tmp_path / "state.safetensors", toy.parts, 3, RUN)
    expected = [toy.step() for _ in range(4)]
    for generator in (random.seed, np.random.seed, torch.manual_seed):
        generator(99)
    again = Toy()
    assert load_state(tmp_path / "state.safetensors", again.parts, RUN) == 3
    assert [again.step() for _ in range(4)] == expected


def test_keys_and_types_come_back(tmp_path: Path) -> None:
    class Holder:
        held: Any = None

        def state_dict(self) -> dict[str, Any]:
            return dict(self.held)

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.held = state

    one, other = Holder(), Holder()
    tensor = torch.arange(3, dtype=torch.bfloat16)
    one.held = {0: (1, 2.5, None), "a": [np.int64(7), True], "both": [tensor, tensor], "n": np.arange(2)}
    save_state(tmp_path / "s", {"part": one}, 1, {})
    load_state(tmp_path / "s", {"part": other}, {})
    assert other.held[0] == (1, 2.5, None)
    assert other.held["a"] == [7, True]
    assert all(torch.equal(item, tensor) and item.dtype == tensor.dtype for item in other.held["both"])
    assert isinstance(other.held["n"], np.ndarray)
    assert other.held["n"].tolist() == [0, 1]


def test_an_unfinished_file_does_not_replace_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, toy = tmp_path / "state.safetensors", Toy()
    save_state(path, toy.parts, 1, RUN)

    def full(*_: Any) -> None:
        path.with_name(path.name + ".part").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("trainers.training.state.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        save_state(path, toy.parts, 2, RUN)
    assert load_state(path, toy.parts, RUN) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle in a zip", bytes(200)])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(InputError, match="damaged, or no state"):
        load_state(tmp_path / "s", Toy().parts, RUN)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path, toy = tmp_path / "s", Toy()
    save_state(path, toy.parts, 1, RUN)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        load_state(path, toy.parts, RUN)


def test_another_run_is_refused_by_name_of_what_differs(tmp_path: Path) -> None:
    toy = Toy()
    save_state(tmp_path / "s", toy.parts, 1, RUN)
    with pytest.raises(ConfigError, match="its seed is 1, not 2"):
        load_state(tmp_path / "s", toy.parts, {**RUN, "seed": 2})
    with pytest.raises(InputError, match="there is no state"):
        load_state(tmp_path / "none", toy.parts, RUN)
    with pytest.raises(InputError, match="holds"):
        load_state(tmp_path / "s", {"module": toy.module}, RUN)
