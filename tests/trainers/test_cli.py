"""`musewatch train`: its configs, and what is said of a wrong one."""

from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.errors import ConfigError
from tests.tree import ROOT
from trainers.cli import read_config

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

FILES = sorted((ROOT / "configs/training").glob("encoder_*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_training_config_loads_and_its_network_can_be_built(path: Path) -> None:
    from engines.architectures import build_network
    from trainers.encoder import Config

    config = read_config(Config, path)
    assert config.held_out.folder.is_absolute()
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
