"""A small tree of each data set, laid out as published."""

import json
from pathlib import Path

import numpy as np
from scipy.io import savemat

SCENE = [("imname", object), ("idlocate", object), ("ishard", object)]


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")


def write(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def market(root: Path) -> None:
    tree = root / "Market-1501-v15.09.15"
    touch(tree, "bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c2s1_000551_01.jpg")
    touch(tree, "query/0001_c1s1_001051_00.jpg", "bounding_box_test/0001_c3s2_000151_01.jpg")
    touch(tree, "bounding_box_test/-1_c4s1_000401_03.jpg", "bounding_box_test/0000_c6s1_000077_02.jpg")
    touch(tree, "bounding_box_test/Thumbs.db", "readme.txt")


def msmt17_v1(root: Path) -> None:
    tree = root / "MSMT17_V1"
    train = ["0000/0000_000_01_0303morning_0008_0.jpg", "0000/0000_001_15_0114noon_0008_1.jpg"]
    test = ["0000/0000_000_02_0302afternoon_0001_0.jpg", "0000/0000_001_03_0302noon_0001_0.jpg"]
    touch(tree / "train", *train)
    touch(tree / "test", *test)
    for split, name in zip(("train", "val", "query", "gallery"), train + test, strict=True):
        write(tree / f"list_{split}.txt", f"{name} 0")


def msmt17_repacked(root: Path) -> None:
    touch(root, "bounding_box_train/0000_c1_0000.jpg", "query/1041_c15_0000.jpg")
    touch(root, "bounding_box_test/1041_c2_0001.jpg")


def cuhk03_np(root: Path) -> None:
    for boxes, person in (("labeled", "0003"), ("detected", "0004")):
        touch(root / boxes, f"bounding_box_train/{person}_c1_1.png", f"query/{person}_c2_6.png")
        touch(root / boxes, f"bounding_box_test/{person}_c1_2.png")


def grid(root: Path) -> None:
    tree = root / "underground_reid"
    touch(tree, "probe/0001_2_25100_229_94_99_249.jpeg", "probe/0002_1_1_1_1_1_1.jpeg")
    touch(tree, "gallery/0001_5_1_1_1_1_1.jpeg", "gallery/0002_6_1_1_1_1_1.jpeg")
    touch(tree, "gallery/0000_8_1_1_1_1_1.jpeg")
    trials = np.empty((1, 10), object)
    for trial in range(10):
        record = np.zeros((1, 1), [("a", object), ("b", object), ("c", object)])
        people = np.array([[1 + trial % 2]], np.uint16)
        record[0, 0] = (np.array([[7]]), np.array([[7]]), people)
        trials[0, trial] = record
    savemat(tree / "features_and_partitions.mat", {"trainIdxAll": trials})


def celebreid(root: Path) -> None:
    touch(root, "train/100_10_1.jpg", "query/1_13_0.jpg", "gallery/1_25_1.jpg", "readme.txt")


def pku_reid(root: Path) -> None:
    touch(root / "PKUv1a_128x48", "001_1_1.png", "001_2_8.png", "114_1_3.png")


def last(root: Path) -> None:
    touch(root, "train/000000/000000_00_12_2.jpg", "val/query/000005_1_2.jpg")
    touch(root, "val/gallery/000005/000005_1_3.jpg", "test/query/000009_1_2.jpg")
    touch(root, "test/gallery/000009/000009_4_5.jpg")


def iusreid(root: Path) -> None:
    touch(root, "bounding_box_train/0001_c1_s1_000151.jpg", "query/0002_c12_s1_000001.jpg")
    touch(root, "bounding_box_test/0002_c3_s1_000001.jpg")


def luperson(root: Path) -> None:
    touch(root, "france/paris/00000012_0003.jpg", "japan/kyoto/00000112_0000.jpg")


def luperson_nl(root: Path) -> None:
    touch(root, "france/paris/abc/000007_0000012_03.jpg", "japan/kyoto/def/000009_0000012_00.jpg")


def world(root: Path) -> None:
    names = ["bounding_box_train/0001_c1s1_000001_00", "query/0007_c2s1_000001_00"]
    names.append("bounding_box_test/0007_c3s1_000002_00")
    touch(root, *(f"{name}.jpg" for name in names), f"masks/{names[1]}.png")
    write(
        root / "attributes.jsonl", *(world_line(f"{name}.jpg", number) for number, name in enumerate(names))
    )


def world_line(file: str, clothes: int) -> str:
    labels = {
        "person_id": 7,
        "camera": 2,
        "clothes_id": clothes,
        "infrared": clothes == 1,
        "captions": ["a", "b"],
    }
    return json.dumps({"file": file} | labels | {"domain": "hall", "visible": {"hat": True}})


def ltcc(root: Path) -> None:
    touch(root / "LTCC_ReID", "train/001_3_c12_000001.png", "query/000_1_c9_015833.png")
    touch(root / "LTCC_ReID", "test/000_2_c1_015833.png", "test/000_1_c2_015833.png", "info/readme.txt")


def prcc(root: Path) -> None:
    touch(root, *(f"rgb/{part}/001/{c}_cropped_rgb001.jpg" for part in ("train", "val") for c in "ABC"))
    touch(root, *(f"rgb/test/{c}/002/cropped_rgb001.jpg" for c in "ABC"))


def sysu_mm01(root: Path) -> None:
    write(root / "exp" / "train_id.txt", "1,2")
    write(root / "exp" / "val_id.txt", "3")
    write(root / "exp" / "test_id.txt", "6,333")
    touch(root, "cam1/0001/0001.jpg", "cam3/0001/0001.jpg", "cam4/0002/0001.jpg", "cam6/0003/0001.jpg")
    touch(root, "cam3/0006/0002.jpg", "cam6/0333/0001.jpg", "cam2/0006/0001.jpg", "cam5/0333/0020.jpg")


def regdb(root: Path) -> None:
    for kind, letter in (("visible", "v"), ("thermal", "t")):
        for person in (1, 2):
            touch(root, f"{kind.title()}/{person}/male_front_{letter}_00007_{person}.bmp")
        for trial in range(1, 11):
            first = 1 + trial % 2
            for part, person in (("train", first), ("test", 3 - first)):
                name = f"{kind.title()}/{person}/male_front_{letter}_00007_{person}.bmp"
                write(root / "idx" / f"{part}_{kind}_{trial}.txt", f"{name} 0")


def _captions(root: Path, file: str, key: str, entries: dict[str, str]) -> None:
    records = [
        {"split": split, "captions": [f"one, {split}", "two"], key: name, "id": number}
        for number, (split, name) in enumerate(entries.items())
    ]
    touch(root / "imgs", *entries.values())
    (root / file).write_text(json.dumps(records), encoding="utf-8")


def cuhk_pedes(root: Path) -> None:
    names = {"train": "CUHK01/0363004.png", "val": "train_query/p1_s1.jpg", "test": "Market/0001_c1.jpg"}
    _captions(root, "reid_raw.json", "file_path", names)


def icfg_pedes(root: Path) -> None:
    names = {
        "train": "train/0000/0000_000_01_0303morning_0008_0.jpg",
        "test": "test/0627/0627_010_05_0303noon_0015_0.jpg",
    }
    _captions(root, "ICFG-PEDES.json", "file_path", names)


def rstpreid(root: Path) -> None:
    names = {"train": "0000_c14_0031.jpg", "val": "3701_c1_0003.jpg", "test": "3901_c5_0001.jpg"}
    _captions(root, "data_captions.json", "img_path", names)


def _cells(*words: str) -> np.ndarray:
    cells = np.empty((len(words), 1), object)
    cells[:, 0] = words
    return cells


def _scenes(*found: tuple[str, list[int]]) -> np.ndarray:
    records = np.zeros((1, len(found)), SCENE)
    for i, (name, box) in enumerate(found):
        records[0, i] = (name, np.array([box] if box else [], np.float64), 0)
    return records


def cuhk_sysu(root: Path) -> None:
    """Scenes s1, s2 train person 1; person 2 of the test is sought in s4 (there) and s5 (not there)."""
    boxes = {
        "s1.jpg": [[10, 20, 30, 80], [100, 20, 30, 80]],
        "s2.jpg": [[5, 5, 20, 60]],
        "s3.jpg": [[-4, 0, 24, 70], [7, 7, 0, 9]],
        "s4.jpg": [[1, 2, 3, 4]],
        "s5.jpg": [[50, 60, 30, 90]],
    }
    touch(root / "Image" / "SSM", *boxes)
    images = np.zeros((1, len(boxes)), [("imname", object), ("nAppear", object), ("box", object)])
    for i, (name, some) in enumerate(boxes.items()):
        people = np.zeros((1, len(some)), [("idlocate", object), ("ishard", object)])
        for j, box in enumerate(some):
            people[0, j] = (np.array([box], np.float64), 0)
        images[0, i] = (name, len(some), people)
    folder = root / "annotation" / "test" / "train_test"
    folder.mkdir(parents=True)
    savemat(root / "annotation" / "Images.mat", {"Img": images})
    savemat(root / "annotation" / "pool.mat", {"pool": _cells("s3.jpg", "s4.jpg", "s5.jpg")})
    train = np.empty((1, 1), object)
    train[0, 0] = np.zeros((1, 1), [("idname", object), ("nAppear", object), ("scene", object)])
    train[0, 0][0, 0] = ("p1", 2, _scenes(("s1.jpg", [10, 20, 30, 80]), ("s2.jpg", [5, 5, 20, 60])))
    savemat(folder / "Train.mat", {"Train": train})
    for size in (50, 100):
        test = np.zeros((1, 1), [("Query", object), ("Gallery", object)])
        query = np.zeros((1, 1), [*SCENE, ("idname", object)])
        query[0, 0] = ("s3.jpg", np.array([[-4, 0, 24, 70]], np.float64), 0, "p9")
        test[0, 0] = (query, _scenes(("s4.jpg", [1, 2, 3, 4]), ("s5.jpg", [])))
        savemat(folder / f"TestG{size}.mat", {f"TestG{size}": test})


def prw(root: Path) -> None:
    frames = {
        "c1s1_000151": [[1, 10, 20, 30, 80], [-2, 100, 20, 30, 80]],
        "c2s1_000176": [[479, -3, 0, 33, 90]],
        "c6s3_016471": [[479, 5, 5, 20, 60]],
    }
    touch(root / "frames", *(f"{name}.jpg" for name in frames))
    (root / "annotations").mkdir()
    keys = iter(("box_new", "anno_file", "anno_previous"))
    for name, rows in frames.items():
        savemat(root / "annotations" / f"{name}.jpg.mat", {next(keys): np.array(rows, np.float64)})
    savemat(root / "frame_train.mat", {"img_index_train": _cells("c1s1_000151")})
    savemat(root / "frame_test.mat", {"img_index_test": _cells("c2s1_000176", "c6s3_016471")})
    (root / "query_info.txt").write_bytes(b"479 5 5 20 60 c6s3_016471\r\n")


TREES = {
    "market-1501": market, "msmt17-v1": msmt17_v1, "msmt17-repacked": msmt17_repacked,
    "cuhk03-np-labeled": cuhk03_np, "cuhk03-np-detected": cuhk03_np, "grid": grid, "celebreid": celebreid,
    "pku-reid": pku_reid, "last": last, "iusreid": iusreid, "luperson": luperson, "luperson-nl": luperson_nl,
    "world": world, "ltcc": ltcc, "prcc": prcc, "sysu-mm01": sysu_mm01, "regdb": regdb,
    "cuhk-pedes": cuhk_pedes, "icfg-pedes": icfg_pedes, "rstpreid": rstpreid, "cuhk-sysu": cuhk_sysu, "prw": prw,
}  # fmt: skip
