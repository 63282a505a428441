"""`musewatch train`: its configs, and what is said of a wrong one."""

from importlib import import_module
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.errors import ConfigError
from tests.tree import ROOT
from trainers.cli import JOBS, read_config

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

FILES = sorted(
    path
    for path in (ROOT / "configs/training").glob("*.yaml")
    if not path.name.startswith("detector_ultralytics")
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_training_config_loads_and_its_network_can_be_built(path: Path) -> None:
    from engines.architectures import build_network

    job = JOBS[path.stem.partition("_")[0]]
    config = read_config(import_module(job.module).Config, path)
    if job.function == "train_verifier":
        asked = config.prompt.read()
        assert asked.task or asked.cue
        assert config.embedder.is_file()
        return
    small = {"layers": 1} if config.network.use == "clip_vit" else {}
    build_network(config.network.use, config.network.settings | small, path.name)


def test_an_unknown_key_is_refused_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainers.encoder import Config

    wrong = (ROOT / "configs/training/encoder_small.yaml").read_text().replace("steps:", "step:")
    (tmp_path / "c.yaml").write_text(wrong)
    with pytest.raises(ConfigError, match="step: unknown key; did you mean 'steps'"):
        read_config(Config, tmp_path / "c.yaml")
    assert main(["train", "encoder", str(tmp_path / "c.yaml")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["train", "encoder", str(tmp_path / "none.yaml")]) == 2


def test_every_job_has_its_options_in_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in JOBS:
        assert main(["train", name, "--help"]) == 0
        said = capsys.readouterr().out
        assert all(option in said for option in ("FILE", "--out", "--seed", "--device", "--resume"))


def test_former_keys_are_taken_and_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from trainers.detector import Config

    text = (ROOT / "configs/training/detector_nano.yaml").read_text()
    former = text.replace("evaluate_every:", "judge_every:").replace("warmup: 0.05", "warmup: 200")
    (tmp_path / "former.yaml").write_text(former + "decay: 0.01\n")
    (tmp_path / "new.yaml").write_text(text + "weight_decay: 0.01\n")
    assert read_config(Config, tmp_path / "new.yaml") is not None
    assert capsys.readouterr().err == ""
    old, new = (read_config(Config, tmp_path / f"{name}.yaml") for name in ("former", "new"))
    assert old == new
    assert capsys.readouterr().err.splitlines() == [
        "decay is called weight_decay now",
        "judge_every is called evaluate_every now",
        "warmup is a share of the steps now: 200 steps are 0.05",
    ]
    (tmp_path / "both.yaml").write_text(text + "judge_every: 7\n")
    with pytest.raises(ConfigError, match="judge_every: unknown key"):
        read_config(Config, tmp_path / "both.yaml")


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    import torch

    from trainers.training.run import Run

    if torch.cuda.is_available():
        assert Run.open(tmp_path, 0, "cuda", resume=False).device.type == "cuda"
    else:
        with pytest.raises(ConfigError, match="no device 'cuda' here"):
            Run.open(tmp_path, 0, "cuda", resume=False)
