from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.manifest import Preprocess  # noqa: E402
from engines.preprocess import preprocess  # noqa: E402
from pipeline.errors import InputError  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.people import Pictures, SetChoice, gather, read_picture  # noqa: E402

pytestmark = pytest.mark.torch


def choice(folder: Path, *splits: str) -> SetChoice:
    return SetChoice(folder=folder, splits=splits or ("train",))


def test_every_tree_is_a_domain_with_people_of_its_own(tmp_path: Path) -> None:
    draw_people(tmp_path / "d1", 4, seed=1)
    draw_people(tmp_path / "d2", 6, seed=2)
    people = gather([choice(tmp_path / "d*", "train", "query", "gallery")])
    assert str(people) == "40 pictures of 10 people in 2 domains"
    assert people.domain_of.tolist() == [0] * 4 + [1] * 6
    assert np.bincount(people.identities).tolist() == [4] * 10
    for identity in range(10):
        own = [s for s, i in zip(people.samples, people.identities, strict=True) if i == identity]
        assert len({(s.path.parents[1], s.identity) for s in own}) == 1
    assert len(gather([choice(tmp_path / "d1")]).domain_of) == 2
    alone = gather([choice(tmp_path / "d1").model_copy(update={"alone": True})])
    assert alone.identities.tolist() == list(range(8))


def test_the_digest_is_of_names_labels_and_bytes(tmp_path: Path) -> None:
    one = gather([choice(draw_people(tmp_path / "a", 4, seed=1))])
    same = gather([choice(draw_people(tmp_path / "b", 4, seed=1))])
    other = gather([choice(draw_people(tmp_path / "c", 4, seed=2))])
    assert one.digest() == same.digest() != other.digest()


def test_pictures_reach_training_as_they_reach_the_engine(tmp_path: Path) -> None:
    people = gather([choice(draw_people(tmp_path / "a", 4, seed=1))])
    settings = Preprocess(colour="rgb", scale=1 / 255, resize="stretch", size=(24, 12))
    rows = np.array([3, 0, 3])
    served, _ = preprocess([read_picture(people.samples[row]) for row in rows], settings)
    for keep in (True, False):
        pictures = Pictures(people.samples, (24, 12), keep=keep)
        for _ in range(2):
            assert np.allclose(pictures.take(rows).numpy(), served, atol=1e-6)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = draw_people(tmp_path / "a", 4, seed=1)
    with pytest.raises(InputError, match="no split 'val'"):
        gather([choice(folder, "val")])
    with pytest.raises(InputError, match=r"no folder is called .*none-\*"):
        gather([choice(tmp_path / "none-*")])
    people = gather([choice(folder)])
    people.samples[0].path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="missing or no picture"):
        Pictures(people.samples, (8, 8)).take(np.array([0]))
