"""What an embedder learns of teachers: their rows, joined, read off its own, and their relations."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engines.testing import stripe_embedder, write_engine  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.distillation import (  # noqa: E402
    Distillation,
    DistillationSettings,
    joined_vectors,
    unlabelled,
    with_teachers,
)
from trainers.evaluate.feature_cache import FeatureCache  # noqa: E402

pytestmark = pytest.mark.torch

SEEN = {"colour": "rgb", "resize": "stretch", "size": [32, 16]}


def test_relations_are_nothing_where_the_cosines_agree() -> None:
    wanted = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    told = Distillation(DistillationSettings(engines=(Path("any.yaml"),), vectors=0.5), wanted, 4)
    numbers = torch.tensor([3, 0, 4])
    turned = wanted[numbers].flip(1)
    found = told(turned, numbers)
    assert found["relations"].item() == pytest.approx(0, abs=1e-10)
    assert found["taught"].item() == pytest.approx(0.5 * found["vectors"].item(), abs=1e-8)
    away = told(wanted[[1, 0, 4]], numbers)
    assert away["taught"].item() == pytest.approx(
        0.5 * away["vectors"].item() + 10 * away["relations"].item(), rel=1e-5
    )
    assert away["relations"] > 0


def test_teachers_are_joined_with_equal_weight_and_asked_once(tmp_path: Path) -> None:
    people = unlabelled([draw_people(tmp_path / "people", 4, seed=1)])
    engines = [
        write_engine(
            tmp_path / str(count),
            stripe_embedder((32, 16), count),
            preprocess=SEEN,
            name=f"s{count}",
        )
        for count in (2, 8)
    ]
    with FeatureCache(tmp_path / "cache") as cache:
        rows, digests = joined_vectors(engines, people.samples, cache)
        first, _ = joined_vectors(engines[:1], people.samples, cache)
    assert rows.shape == (16, 6 + 24)
    assert torch.allclose(rows.norm(dim=1), torch.ones(16))
    assert torch.allclose(rows[:, :6] * 2**0.5, first)
    assert len(set(digests)) == 2

    with FeatureCache(tmp_path / "cache") as cache:
        known = cache.find(digests[0], people.contents)
    assert len(known) == 16


def test_pictures_of_folders_are_taken_once_each(tmp_path: Path) -> None:
    root = draw_people(tmp_path / "a" / "deep", 2, seed=1)
    double = next(root.glob("query/*.jpg"))
    (tmp_path / "a" / "again.JPG").write_bytes(double.read_bytes())
    people = unlabelled([tmp_path / "a"])
    assert len(people.samples) == len(set(people.contents)) == 8
    assert people.identities.tolist() == list(range(8))


@pytest.mark.parametrize("given", ["a.yaml", ["a.yaml"], {"engines": ["a.yaml"]}])
def test_one_several_or_more_keys(given: object) -> None:
    assert with_teachers(given) == {"engines": ["a.yaml"]}
