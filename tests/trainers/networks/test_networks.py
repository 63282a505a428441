"""Every embedder: unit rows, sizes, what it takes to train, other people's weights."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from engines.architectures import build_network  # noqa: E402
from engines.errors import EngineFileError  # noqa: E402
from trainers.networks.clip_vit import ClipImageTower, resampled  # noqa: E402
from trainers.networks.osnet import OSNet  # noqa: E402
from trainers.networks.small import SmallEmbedder  # noqa: E402
from trainers.networks.style import HalfInstanceNorm, MixStyle  # noqa: E402

pytestmark = pytest.mark.torch

TINY_TOWER = {"size": [32, 16], "patch": 8, "width": 24, "layers": 2, "heads": 2, "projection": 12}
EMBEDDERS: dict[str, dict[str, Any]] = {
    "small": {"dimension": 12, "widths": [8, 8, 12, 16], "blocks": [1, 2, 1], "stripes": 2},
    "osnet": {"dimension": 12, "width": 0.25},
    "clip_vit": TINY_TOWER,
    "timm": {"name": "resnet10t", "dimension": 12},
}


def embedder(use: str) -> "torch.nn.Module":
    torch.manual_seed(0)
    return build_network(use, EMBEDDERS[use], "test")


@pytest.mark.parametrize("use", EMBEDDERS)
def test_rows_have_unit_length_and_stand_alone(use: str) -> None:
    network = embedder(use).eval()
    pictures = torch.randn(3, 3, 32, 16)
    with torch.inference_mode():
        rows = network(pictures)
        alone = torch.cat([network(picture[None]) for picture in pictures])
    assert rows.shape == (3, 12)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(rows, alone, atol=1e-5)


@pytest.mark.parametrize("use", EMBEDDERS)
def test_checkpointing_changes_no_gradient(use: str) -> None:
    network = embedder(use).train()
    pictures, gradients = torch.randn(4, 3, 32, 16), []
    for on in (False, True):
        network.checkpointing = on
        network.zero_grad()
        network(pictures)[:, :6].sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert len(gradients[0]) > 10
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_the_small_one_fits_its_limits() -> None:
    megabytes = sum(p.numel() for p in SmallEmbedder().parameters()) * 4 / 1e6
    assert megabytes < 8


def test_osnet_has_the_size_of_the_paper() -> None:
    """Table 1: 2.2 million parameters without the classifier at width 1, most of them before the 512-d layer."""
    millions = sum(p.numel() for p in OSNet(512).parameters()) / 1e6
    assert millions == pytest.approx(2.2, abs=0.05)


def test_a_camera_s_cast_is_taken_away_by_the_normalised_half() -> None:
    norm = HalfInstanceNorm(4).eval()
    maps = torch.randn(2, 4, 5, 6)
    cast = maps * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1) + 2
    assert torch.allclose(norm(cast)[:, :2], norm(maps)[:, :2], atol=1e-4)
    assert not torch.allclose(norm(cast)[:, 2:], norm(maps)[:, 2:], atol=1e-1)


def test_mixed_styles_keep_the_content() -> None:
    torch.manual_seed(0)
    mix, maps = MixStyle(1.0, alpha=1.0), torch.randn(6, 3, 8, 8) * 3 + 1
    mixed = mix(maps)
    normalise = torch.nn.functional.instance_norm
    assert torch.allclose(normalise(mixed), normalise(maps), atol=1e-3)
    means, before = mixed.mean((2, 3)), maps.mean((2, 3))
    assert not torch.allclose(means, before, atol=1e-3)
    assert before.amin(0).le(means + 1e-5).all()
    assert before.amax(0).ge(means - 1e-5).all()
    assert torch.equal(mix.eval()(maps), maps)
    assert torch.equal(MixStyle(0.0).train()(maps), maps)


def test_positions_of_a_square_grid_fit_a_tall_one() -> None:
    row, column = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    square = torch.stack([row.flatten(), column.flatten()], 1)
    tall = resampled(torch.cat([torch.tensor([[9.0, 9.0]]), square]), (8, 2))
    assert tall[0].tolist() == [9.0, 9.0]
    grid = tall[1:].view(8, 2, 2)
    assert (grid[1:, :, 0] > grid[:-1, :, 0]).all()
    assert (grid[:, 1, 1] > grid[:, 0, 1]).all()
    assert resampled(square[:5], (2, 2)) is not None


@pytest.fixture
def pictures() -> "torch.Tensor":
    return torch.randn(2, 3, 32, 32)


def square_tower() -> ClipImageTower:
    return ClipImageTower(**{**TINY_TOWER, "size": (32, 32), "neck": False}).eval()


def test_agrees_with_transformers(tmp_path: Path, pictures: "torch.Tensor") -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=24, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2, image_size=32,
        patch_size=8, projection_dim=12, hidden_act="quick_gelu",
    )  # fmt: skip
    theirs = transformers.CLIPVisionModelWithProjection(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = square_tower()
    ours.fill(tmp_path)
    with torch.inference_mode():
        assert torch.allclose(ours.levels(pictures)[2], theirs(pictures).image_embeds, atol=1e-5)


def test_agrees_with_open_clip(tmp_path: Path, pictures: "torch.Tensor") -> None:
    open_clip = pytest.importorskip("open_clip")
    theirs = open_clip.CLIP(
        12,
        {"layers": 2, "width": 24, "patch_size": 8, "image_size": 32, "head_width": 12},
        {"layers": 1, "width": 16, "heads": 2, "context_length": 8, "vocab_size": 20},
        quick_gelu=True,
    ).eval()
    save_file(
        {name: tensor.clone() for name, tensor in theirs.state_dict().items()}, tmp_path / "w.safetensors"
    )
    ours = square_tower()
    ours.fill(tmp_path)
    with torch.inference_mode():
        assert torch.allclose(ours.levels(pictures)[2], theirs.encode_image(pictures), atol=1e-5)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineFileError, match="0 safetensors files"):
        square_tower().fill(tmp_path)
    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(EngineFileError, match="damaged"):
        square_tower().fill(tmp_path)
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(EngineFileError, match=r"no CLIP: .* is missing"):
        square_tower().fill(tmp_path)
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(EngineFileError, match="another network"):
        embedder("timm").fill(tmp_path)
