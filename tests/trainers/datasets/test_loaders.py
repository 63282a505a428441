"""Every loader on a small tree of its set: samples, splits, cameras, junk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, InputError
from tests.trainers.datasets.trees import TREES, touch
from trainers.datasets.catalogue import LAYOUTS, load
from trainers.datasets.sample import DataSet, Sample
from trainers.evaluate.rules import RULES

READ = {
    "market-1501": {"train": [(2, 1), (2, 2)], "query": [(1, 1)], "gallery": [(-1, 4), (0, 6), (1, 3)]},
    "msmt17-v1": {"train": [(0, 1)], "val": [(0, 15)], "query": [(0, 2)], "gallery": [(0, 3)]},
    "msmt17-repacked": {"train": [(0, 1)], "query": [(1041, 15)], "gallery": [(1041, 2)]},
    "cuhk03-np-labeled": {"train": [(3, 1)], "query": [(3, 2)], "gallery": [(3, 1)]},
    "cuhk03-np-detected": {"train": [(4, 1)], "query": [(4, 2)], "gallery": [(4, 1)]},
    "grid": {"train": [(1, 2), (1, 5)], "query": [(2, 1)], "gallery": [(0, 8), (2, 6)]},
    "celebreid": {"train": [(100, -1)], "query": [(1, -1)], "gallery": [(1, -1)]},
    "pku-reid": {"all": [(1, 1), (1, 2), (114, 1)]},
    "last": {
        "train": [(0, -1)], "val_query": [(5, -1)], "val_gallery": [(5, -1)], "query": [(9, -1)],
        "gallery": [(9, -1)],
    },
    "iusreid": {"train": [(1, 1)], "query": [(2, 12)], "gallery": [(2, 3)]},
    "luperson": {"train": [(-1, -1), (-1, -1)]},
    "luperson-nl": {"train": [(7, -1), (9, -1)]},
    "world": {"train": [(1, 1)], "query": [(7, 2)], "gallery": [(7, 3)]},
    "ltcc": {"train": [(1, 12)], "query": [(0, 9)], "gallery": [(0, 2), (0, 1)]},
    "prcc": {
        "train": [(1, 1), (1, 2), (1, 3)], "val": [(1, 1), (1, 2), (1, 3)], "gallery": [(2, 1)],
        "query_same": [(2, 2)], "query_changed": [(2, 3)],
    },
    "sysu-mm01": {
        "train": [(1, 1), (1, 3), (2, 4)], "val": [(3, 6)], "query": [(6, 3), (333, 6)],
        "gallery": [(6, 2), (333, 5)],
    },
    "regdb": {"train": [(0, 1), (0, 2)], "query": [(0, 1)], "gallery": [(0, 2)]},
    "cuhk-pedes": {"train": [(0, -1)], "val": [(1, -1)], "test": [(2, -1)]},
    "icfg-pedes": {"train": [(0, 1)], "test": [(1, 5)]},
    "rstpreid": {"train": [(0, 14)], "val": [(1, 1)], "test": [(2, 5)]},
    "cuhk-sysu": {
        "train": [(1, -1), (-1, -1), (1, -1)], "query": [(2, -1)], "gallery": [(2, -1), (2, -1), (-1, -1)],
    },
    "prw": {"train": [(1, 1), (-1, 1)], "query": [(479, 6)], "gallery": [(479, 2), (479, 6)]},
}  # fmt: skip


@pytest.fixture
def grown(tmp_path: Path) -> Callable[[str], tuple[Path, DataSet]]:
    def grow(name: str) -> tuple[Path, DataSet]:
        TREES[name](tmp_path)
        return tmp_path, load(name, tmp_path)

    return grow


def test_every_readable_set_has_a_tree_here() -> None:
    readable = {name for name, layout in LAYOUTS.items() if layout.reader} - {"world-scenes"}
    assert readable == set(TREES) == set(READ)
    assert set(LAYOUTS) - readable == {
        "m2reid",
        "world-scenes",
    }  # the latter by its own command: test_world_scenes
    assert not any("duke" in name for name in LAYOUTS)


@pytest.mark.parametrize("name", READ)
def test_identities_and_cameras_of_the_splits(
    name: str, grown: Callable[[str], tuple[Path, DataSet]]
) -> None:
    _, data = grown(name)
    read = {split: sorted((s.identity, s.camera) for s in samples) for split, samples in data.splits.items()}
    assert read == {split: sorted(labels) for split, labels in READ[name].items()}
    assert all(s.path.is_file() for samples in data.splits.values() for s in samples)


@pytest.mark.parametrize("name", READ)
def test_the_official_searches_fit_the_splits(
    name: str, grown: Callable[[str], tuple[Path, DataSet]]
) -> None:
    _, data = grown(name)
    layout = LAYOUTS[name]
    assert layout.source
    assert layout.terms
    for search in layout.searches.values():
        assert {search.query, search.gallery} <= set(data.splits)
        assert search.rule in RULES
    assert {split for counted in layout.counts for split in counted.split("+")} <= set(data.splits)


def one(data: DataSet, split: str) -> Sample:
    (sample,) = data.splits[split]
    return sample


def test_market_time_and_sequence(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    sample = one(grown("market-1501")[1], "query")
    assert (sample.time, sample.attributes, sample.modality) == ("001051", {"sequence": "1"}, "visible")


def test_msmt17_time_and_folder_of_the_second_version(
    tmp_path: Path, grown: Callable[[str], tuple[Path, DataSet]]
) -> None:
    root, data = grown("msmt17-v1")
    assert one(data, "val").time == "0114noon"
    tree = (root / "MSMT17_V1").rename(root / "MSMT17_V2")
    (tree / "train").rename(tree / "mask_train_v2")
    (tree / "test").rename(tree / "mask_test_v2")
    assert one(load("msmt17-v1", tmp_path), "query").path.is_relative_to(tree / "mask_test_v2")


def test_a_set_may_be_named_without_its_wrapper(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    root, data = grown("market-1501")
    assert load("market-1501", root / "Market-1501-v15.09.15").splits == data.splits


def test_pku_orientation(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    assert [s.attributes["orientation"] for s in grown("pku-reid")[1].splits["all"]] == ["1", "8", "3"]


def test_clothes(tmp_path: Path) -> None:
    expected = {
        "ltcc": {"train": [3], "query": [1], "gallery": [1, 2]},
        "prcc": {"train": [0, 0, 1], "query_same": [0], "query_changed": [1], "gallery": [0]},
        "last": {"train": [2], "query": [-1], "gallery": [-1]},
    }
    for name, splits in expected.items():
        TREES[name](tmp_path / name)
        data = load(name, tmp_path / name)
        assert {split: sorted(s.clothes for s in data.splits[split]) for split in splits} == splits, name


def test_modalities(tmp_path: Path) -> None:
    TREES["sysu-mm01"](tmp_path / "sysu")
    data = load("sysu-mm01", tmp_path / "sysu")
    assert {s.modality for s in data.splits["query"]} == {"infrared"}
    assert {s.modality for s in data.splits["gallery"]} == {"visible"}
    TREES["regdb"](tmp_path / "regdb")
    data = load("regdb", tmp_path / "regdb")
    assert [s.modality for s in data.splits["train"]] == ["visible", "thermal"]
    assert one(data, "gallery").modality == "thermal"


@pytest.mark.parametrize("name", ["grid", "regdb"])
def test_trials_are_other_splits(name: str, grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    root, first = grown(name)
    second = load(name, root, trial=2)
    assert {s.path for s in second.splits["train"]} != {s.path for s in first.splits["train"]}
    assert load(name, root, trial=3) == first
    with pytest.raises(ConfigError, match="no trial 11"):
        load(name, root, trial=11)


def test_captions(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    assert one(grown("cuhk-pedes")[1], "test").text == ("one, test", "two")


def test_icfg_has_msmt17s_time_and_either_file_name(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    root, data = grown("icfg-pedes")
    assert one(data, "test").time == "0303noon"
    (root / "ICFG-PEDES.json").rename(root / "ICFG_PEDES.json")
    assert load("icfg-pedes", root) == data


def test_our_worlds_labels(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    root, data = grown("world")
    sample = one(data, "query")
    assert (sample.clothes, sample.modality, sample.text) == (1, "infrared", ("a", "b"))
    assert sample.attributes == {"domain": "hall", "visible": {"hat": True}}
    assert sample.mask == root / "masks/query/0007_c2s1_000001_00.png"
    other = one(data, "gallery")
    assert (other.clothes, other.modality, other.mask, other.time) == (2, "visible", None, "000002")


def test_cuhk_sysu_boxes_and_galleries(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    root, data = grown("cuhk-sysu")
    scenes = root / "Image" / "SSM"
    assert one(data, "query").box == (0, 0, 20, 70)  # it began before the picture did
    assert data.galleries == ((scenes / "s4.jpg", scenes / "s5.jpg"),)
    train = {(s.path.name, s.box): s.identity for s in data.splits["train"]}
    assert train == {
        ("s1.jpg", (10, 20, 40, 100)): 1, ("s1.jpg", (100, 20, 130, 100)): -1, ("s2.jpg", (5, 5, 25, 65)): 1,
    }  # fmt: skip
    gallery = {s.path.name: s.identity for s in data.splits["gallery"]}
    assert gallery == {"s3.jpg": 2, "s4.jpg": 2, "s5.jpg": -1}


def test_prw_boxes(grown: Callable[[str], tuple[Path, DataSet]]) -> None:
    _, data = grown("prw")
    assert one(data, "query").box == (5, 5, 25, 65)
    assert [s.box for s in data.splits["gallery"]] == [(0, 0, 30, 90), (5, 5, 25, 65)]
    assert [s.time for s in data.splits["gallery"]] == ["000176", "016471"]


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean market-1501"):
        load("market1501", tmp_path)
    with pytest.raises(ConfigError, match="withdrawn"):
        load("DukeMTMC-reID", tmp_path)
    with pytest.raises(ConfigError, match="no published layout"):
        load("m2reid", tmp_path)


def test_an_empty_folder_is_refused_by_every_loader(tmp_path: Path) -> None:
    for name in READ:
        with pytest.raises(InputError, match=r"expected .*; found"):
            load(name, tmp_path)


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    touch(tmp_path, "set")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        load("ltcc", tmp_path / "set")
