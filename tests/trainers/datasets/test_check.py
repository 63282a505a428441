"""`musewatch data`: damaged trees give the one error, whole ones pass, and the exit codes are the contract's."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from pipeline.cli.main import main
from tests.trainers.datasets.trees import TREES, touch, world_line, write
from trainers.datasets.catalogue import LAYOUTS
from trainers.datasets.check import check
from trainers.datasets.layout import Count


def gone(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def added(name: str) -> Callable[[Path], None]:
    return lambda root: touch(root, name)


def text(name: str, *rows: str) -> Callable[[Path], None]:
    return lambda root: write(root / name, *rows)


def more(name: str, row: str) -> Callable[[Path], None]:
    return lambda root: write(root / name, (root / name).read_text(encoding="utf-8") + row)


def mat(name: str, **variables: Any) -> Callable[[Path], None]:
    return lambda root: savemat(root / name, variables)


COUNTED = re.compile(r": expected \d+ (samples|identities|pictures), found \d+$")
MARKET = "Market-1501-v15.09.15"
TESTS = "annotation/test/train_test"
DAMAGED: list[tuple[str, Callable[[Path], Any], str]] = [
    ("market-1501", gone(f"{MARKET}/query/0001_c1s1_001051_00.jpg"), r"query/\*\.jpg, like .*; found none"),
    ("market-1501", added(f"{MARKET}/query/someone.jpg"), r"names like .*; found 1 others: .*someone\.jpg"),
    (
        "market-1501",
        added(f"{MARKET}/query/0001_c1s1_001051_00.JPG"),
        r"only query/\*\.jpg in query/; found 1 others: .*_00\.JPG",
    ),
    ("market-1501", added(f"{MARKET}/query/{10**19}_c1s1_001051_00.jpg"), "found 1.* is too large for a label"),
    ("msmt17-v1", gone("MSMT17_V1/list_gallery.txt"), "expected a list of lines"),
    (
        "msmt17-v1",
        gone("MSMT17_V1/test/0000/0000_001_03_0302noon_0001_0.jpg"),
        r"expected 1 files that it lists; found 1 missing: .*0302noon",
    ),
    ("msmt17-v1", text("MSMT17_V1/list_val.txt", "0000_c1_0001.jpg 0"), "lines like .*found '0000_c1_0001"),
    ("msmt17-v1", text("MSMT17_V1/list_val.txt", "one two three"), "found 'one two three'"),
    ("msmt17-v1", text("MSMT17_V1/list_val.txt", ""), "found none"),
    ("msmt17-v1", lambda root: (root / "MSMT17_V1/train").rename(root / "t"), "expected train/ and test/"),
    ("msmt17-repacked", gone("bounding_box_test/1041_c2_0001.jpg"), r"bounding_box_test/\*\.jpg"),
    ("cuhk03-np-labeled", gone("labeled/query/0003_c2_6.png"), r"query/\*\.png"),
    ("cuhk03-np-detected", added("detected/query/x.png"), "1 others"),
    ("grid", gone("underground_reid/features_and_partitions.mat"), r"expected a \.mat file; found gallery/"),
    ("grid", mat("underground_reid/features_and_partitions.mat", other=[1]), "trainIdxAll; found other"),
    ("grid", mat("underground_reid/features_and_partitions.mat", trainIdxAll=[1]), "trial 1 in trainIdxAll"),
    ("grid", added("underground_reid/probe/x.jpeg"), "1 others"),
    ("celebreid", gone("train/100_10_1.jpg"), r"train/\*\.jpg.*in train: an empty folder"),
    ("pku-reid", added("PKUv1a_128x48/x.png"), "1 others"),
    ("last", added("train/000000/x.jpg"), r"names like train/000000.*x\.jpg"),
    ("iusreid", gone("query/0002_c12_s1_000001.jpg"), r"query/\*\.jpg"),
    ("luperson", added("france/paris/x.jpg"), "1 others"),
    ("luperson-nl", added("japan/kyoto/def/00000012_0003.jpg"), "1 others"),
    ("world", gone("attributes.jsonl"), r"attributes\.jsonl: expected lines like .*; found bounding_box_test/"),
    ("world", gone("query/0007_c2s1_000001_00.jpg"), r"query/\*\.jpg"),
    ("world", gone("bounding_box_test/0007_c3s1_000002_00.jpg"), r"bounding_box_test/\*\.jpg"),
    ("world", added("query/0008_c1s1_000001_00.jpg"), "a line for each of 4 pictures; found none for 1: .*0008_c1"),
    (
        "world",
        more("attributes.jsonl", world_line("query/0009_c1s1_000001_00.jpg", 1)),
        "4 files that it lists; found 1 missing: .*0009_c1",
    ),
    ("world", text("attributes.jsonl", "{}"), "lines like .*found line 1: {}"),
    ("world", text("attributes.jsonl", '{"file": 7}'), "lines like .*found line 1: .*7"),
    ("world", lambda root: (root / "attributes.jsonl").write_bytes(b"\xff\xfe"), "found no text"),
    ("ltcc", added("LTCC_ReID/test/0002_c1.png"), "1 others"),
    ("prcc", gone("rgb/test/C/002/cropped_rgb001.jpg"), r"rgb/test/C/\*/\*\.jpg"),
    ("sysu-mm01", gone("exp/test_id.txt"), "expected a list"),
    ("sysu-mm01", text("exp/val_id.txt", "three"), "found 'three'"),
    ("sysu-mm01", gone("cam6/0333/0001.jpg"), r"0333/\*\.jpg in one of cam3, cam6"),
    ("regdb", gone("idx/test_thermal_7.txt"), "expected a list"),
    ("regdb", gone("Thermal/2/male_front_t_00007_2.bmp"), "1 missing: .*Thermal"),
    ("cuhk-pedes", gone("imgs/CUHK01/0363004.png"), "expected 3 files that it lists; found 1 missing"),
    ("cuhk-pedes", gone("reid_raw.json"), "expected a JSON file; found imgs/"),
    ("cuhk-pedes", text("reid_raw.json", "{"), "expected JSON"),
    ("cuhk-pedes", text("reid_raw.json", "{}"), "expected a list of entries; found dict"),
    ("cuhk-pedes", text("reid_raw.json", "[]"), "found none of train, val, test"),
    (
        "cuhk-pedes",
        text("reid_raw.json", '[{"id": 1, "split": "val", "captions": "one", "file_path": "x"}]'),
        "expected id, split .*found entry 0",
    ),
    ("icfg-pedes", text("ICFG-PEDES.json", '[{"id": 1, "split": "val"}]'), "expected id, split .*found entry 0"),
    ("rstpreid", text("data_captions.json", '[{"id": 1, "split": "val", "file_path": "x"}]'), "and img_path"),
    ("cuhk-sysu", gone("annotation/Images.mat"), r"expected a \.mat file"),
    ("cuhk-sysu", gone(f"{TESTS}/TestG100.mat"), r"expected a \.mat file; found TestG50\.mat"),
    ("cuhk-sysu", text("annotation/pool.mat", "no mat"), r"expected a \.mat file; found \w+:"),
    ("cuhk-sysu", mat("annotation/Images.mat", Img=[[1]]), "expected records of a scene's name"),
    ("cuhk-sysu", mat(f"{TESTS}/Train.mat", Train=[[1]]), "expected records of scenes"),
    ("cuhk-sysu", gone("Image/SSM/s5.jpg"), r"5 files that it lists; found 1 missing: .*s5\.jpg"),
    ("prw", gone("annotations/c6s3_016471.jpg.mat"), r"expected a \.mat file"),
    ("prw", mat("annotations/c6s3_016471.jpg.mat", box_new=[[1, 2, 3, 4, float("nan")]]), "or no numbers"),
    ("prw", mat("annotations/c6s3_016471.jpg.mat", box_new=[[1, 2]]), "rows of ID, x, y, w, h; found shape"),
    ("prw", gone("frames/c1s1_000151.jpg"), r"1 missing: .*c1s1_000151\.jpg"),
    ("prw", text("query_info.txt", "479 5 5 20"), "found '479 5 5 20'"),
    ("prw", text("query_info.txt", "479 5 5 20 60 frame_7"), "frames named like c1s3_016471; found 'frame_7'"),
]  # fmt: skip


def test_every_set_is_damaged_here() -> None:
    assert {name for name, _, _ in DAMAGED} == set(TREES)


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGED)
def test_damage_is_one_problem(
    name: str, damage: Callable[[Path], Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TREES[name](tmp_path)
    damage(tmp_path)
    assert main(["data", "check", name, str(tmp_path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (problem,) = [found for found in document["problems"] if not COUNTED.search(found["problem"])]
    assert re.search(said, problem["problem"]), problem["problem"]
    assert not document["ok"]


def of_this_size(monkeypatch: pytest.MonkeyPatch, name: str, counts: dict[str, Count]) -> None:
    monkeypatch.setitem(LAYOUTS, name, replace(LAYOUTS[name], counts=counts))


def test_a_whole_set_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    TREES["market-1501"](tmp_path)
    counts = {"train": Count(2, 1), "query": Count(1, 1), "train+query": Count(3, 2, 3)}
    of_this_size(monkeypatch, "market-1501", counts)
    assert main(["data", "check", "market-1501", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert document["problems"] == []
    found = {part["name"]: part["found"] for part in document["parts"]}
    assert found == {
        "train": {"samples": 2, "identities": 1, "pictures": 2},
        "query": {"samples": 1, "identities": 1, "pictures": 1},
        "gallery": {
            "samples": 3,
            "identities": 2,
            "pictures": 3,
        },  # junk is nobody, distractors are one number
        "train+query": {"samples": 3, "identities": 2, "pictures": 3},
    }


def test_counts_are_compared_with_the_published_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TREES["ltcc"](tmp_path)
    assert main(["data", "check", "ltcc", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "ltcc: train: expected 9576 samples, found 1" in err
    assert "published counts: public loaders" in out
    assert "1 (9576)" in out
    assert out.strip().endswith("6 problems")


def test_boxes_and_scenes_are_counted_apart(tmp_path: Path) -> None:
    TREES["prw"](tmp_path)
    parts, _ = check(LAYOUTS["prw"], tmp_path)
    assert {part.name: part.found for part in parts} == {
        "query": Count(1, 1, 1), "train": Count(2, 1, 1), "gallery": Count(2, 1, 2),
        "train+gallery": Count(4, 2, 3),
    }  # fmt: skip


def test_every_trial_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES["regdb"](tmp_path)
    of_this_size(monkeypatch, "regdb", {"train": Count(2)})
    (tmp_path / "idx" / "test_thermal_7.txt").unlink()
    _, (problem,) = check(LAYOUTS["regdb"], tmp_path)
    assert problem.where == "regdb, trial 7"


def test_empty_files_are_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES["iusreid"](tmp_path)
    of_this_size(monkeypatch, "iusreid", {})
    picture = tmp_path / "query" / "0002_c12_s1_000001.jpg"
    picture.write_bytes(b"")
    _, (problem,) = check(LAYOUTS["iusreid"], tmp_path)
    assert problem.problem == f"expected pictures, found 1 empty files: {picture}"


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_picture_that_ends_too_early_is_named(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {".jpg": "iusreid", ".png": "pku-reid"}[ending]
    TREES[name](tmp_path)
    of_this_size(monkeypatch, name, {})
    whole, cut = sorted(tmp_path.rglob(f"*{ending}"))[:2]
    picture = cv2.imencode(ending, np.random.default_rng(0).integers(0, 256, (40, 20, 3)).astype(np.uint8))[1]
    whole.write_bytes(picture.tobytes() + bytes(9))  # odd, and yet whole
    cut.write_bytes(picture.tobytes()[:-30])
    _, (problem,) = check(LAYOUTS[name], tmp_path)
    assert problem.problem == f"expected pictures, found 1 that end too early: {cut}"


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "ltcc", str(tmp_path / "nowhere"), "--json"]) == 3
    assert "cannot be read: No such file" in json.loads(capsys.readouterr().out)["error"]
    assert main(["data", "check", "market", str(tmp_path)]) == 2
    assert "did you mean market-1501?" in capsys.readouterr().err
    assert main(["data", "check", "m2reid", str(tmp_path)]) == 2
    assert "no published layout" in capsys.readouterr().err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}: {layout.title}\n" in out for name, layout in LAYOUTS.items())
    assert main(["data", "list", "--json"]) == 0
    document = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert document["ltcc"]["counts"]["query"] == {"samples": 493, "identities": 75, "pictures": None}
    assert document["ltcc"]["searches"]["cloth-changing"]["rule"] == "clothes_changing"
