import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.manifest import Preprocess  # noqa: E402
from engines.preprocess import preprocess  # noqa: E402
from pipeline.errors import InputError  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.datasets.pictures import read_picture  # noqa: E402
from trainers.people import Pictures, SetChoice, gather, need_strangers  # noqa: E402

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
    with pytest.raises(InputError, match="not a picture"):
        Pictures(people.samples, (8, 8)).take(np.array([0]))


MSMT = [("train", "train"), ("train", "train"), ("train", "val"), ("test", "query"), ("test", "gallery")]


def draw_msmt17(root: Path, people: int) -> Path:
    """Training and test people are both numbered from 0, and the training people stand in two lists."""
    rng = np.random.default_rng(0)
    for who in range(people):
        for camera, (part, split) in enumerate(MSMT, 1):
            name = f"{who:04d}/{who:04d}_000_{camera:02d}_0303morning_0000_0.jpg"
            path = root / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 256, (8, 4, 3)).astype(np.uint8))
            with (root / f"list_{split}.txt").open("a", encoding="utf-8") as listed:
                listed.write(f"{name} {who}\n")
    return root


def test_msmt17_has_the_same_people_in_both_training_lists_and_others_in_the_test(tmp_path: Path) -> None:
    msmt = SetChoice(set="msmt17-v1", folder=draw_msmt17(tmp_path, 3), splits=("train", "val"))
    assert np.bincount(gather([msmt]).identities).tolist() == [3, 3, 3]
    everybody = gather([msmt.model_copy(update={"splits": ("train", "val", "query", "gallery")})])
    assert np.bincount(everybody.identities).tolist() == [3, 3, 3, 2, 2, 2]
    need_strangers(gather([msmt]), msmt, msmt.searched())
    with pytest.raises(InputError, match=r"3 people of .*, which judges, are learned too: number 0, 1, 2"):
        need_strangers(everybody, msmt, msmt.searched())


def test_distractors_are_no_person(tmp_path: Path) -> None:
    folder = draw_people(tmp_path / "a", 4, seed=1)
    for number in range(3):
        shutil.copy(
            next((folder / "query").iterdir()), folder / f"bounding_box_test/0000_c1s1_00000{number}_00.jpg"
        )
    splits = ("train", "query", "gallery")
    people = gather([SetChoice(set="market-1501", folder=folder, splits=splits)])
    assert str(people) == "16 pictures of 4 people in 1 domains, 3 pictures of nobody left out"


def test_people_who_judge_are_not_learned_under_another_name_either(tmp_path: Path) -> None:
    held_out = choice(draw_people(tmp_path / "a", 4, seed=1))
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    need_strangers(gather([choice(tmp_path / "copy")]), held_out, held_out.searched())
    for folder in ("a", "copy"):
        learned = gather([choice(tmp_path / folder, "train", "query")])
        with pytest.raises(InputError, match=r"2 people of .* are learned too: number 3, 4"):
            need_strangers(learned, held_out, held_out.searched())


def test_a_folder_with_brackets_is_that_folder(tmp_path: Path) -> None:
    folder = draw_people(tmp_path / "set [v1]" / "d1", 4, seed=1)
    assert gather([choice(folder)]).folders == (folder,)
    assert gather([choice(tmp_path / "set [v1]" / "d*")]).folders == (folder,)


def test_a_picture_that_ends_too_early_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    people = gather([choice(draw_people(tmp_path / "a", 4, seed=1))])
    victim = people.samples[3].path
    victim.write_bytes(victim.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"{victim.name} ends too early"):
        people.digest()
    with pytest.raises(InputError, match="cut short"):
        read_picture(people.samples[3])
