import pytest

torch = pytest.importorskip("torch")

from trainers.augment import Augment, AugmentSettings  # noqa: E402

pytestmark = pytest.mark.torch

NOTHING = {
    "flip": 0, "shift": 0, "saturation": (1, 1), "channel_gain": 0, "gain": 0, "gamma": 0, "contrast": 0, "blur": 0,
    "noise": 0, "erase": 0,
}  # fmt: skip


def only(**settings: object) -> Augment:
    return Augment(AugmentSettings.model_validate(NOTHING | settings))


@pytest.fixture
def pictures() -> "torch.Tensor":
    torch.manual_seed(0)
    rough = 0.05 + 0.9 * torch.rand(40, 3, 8, 4)
    return torch.nn.functional.interpolate(rough, (32, 16), mode="bilinear")


def test_nothing_changes_nothing(pictures: "torch.Tensor") -> None:
    assert torch.allclose(only()(pictures), pictures, atol=1e-5)


@pytest.mark.parametrize("what", [*NOTHING])
def test_each_part_changes_pictures_and_keeps_them_pictures(pictures: "torch.Tensor", what: str) -> None:
    before = pictures.clone()
    after = only(**{what: AugmentSettings().model_dump()[what]})(pictures)
    assert torch.equal(pictures, before)
    assert after.shape == pictures.shape
    assert after.min() >= 0
    assert after.max() <= 1
    changed = (after - pictures).abs().amax((1, 2, 3)) > 1e-4
    assert changed.sum() >= 5


def test_what_is_mirrored_is_a_mirror_image(pictures: "torch.Tensor") -> None:
    assert torch.allclose(only(flip=1)(pictures), pictures.flip(3), atol=1e-5)


def test_what_is_erased_is_a_box(pictures: "torch.Tensor") -> None:
    after = only(erase=1)(pictures)
    for picture, erased in zip(pictures, after, strict=True):
        changed = (picture - erased).abs().amax(0) > 1e-4
        rows, columns = torch.nonzero(changed.any(1))[:, 0], torch.nonzero(changed.any(0))[:, 0]
        box = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.float().mean() > 0.9
        assert 0.01 < changed.float().mean() < 0.35


def test_noise_reaches_only_its_share(pictures: "torch.Tensor") -> None:
    after = only(noise=0.3)(pictures)
    noisy = ((after - pictures).abs().amax((1, 2, 3)) > 1e-4).float().mean()
    assert 0.1 < noisy < 0.5


def test_the_global_generator_decides(pictures: "torch.Tensor") -> None:
    augment = Augment(AugmentSettings())
    torch.manual_seed(4)
    state = torch.get_rng_state()
    first = augment(pictures)
    torch.set_rng_state(state)
    assert torch.equal(augment(pictures), first)
