"""Layouts of the sets that are searched by picture alone, and of those that only train."""

from trainers.datasets.crops import crops
from trainers.datasets.file_names import FileNames, joined
from trainers.datasets.grid import grid
from trainers.datasets.layout import Count, Layout, Search
from trainers.datasets.lists import msmt17

MARKET_TREE = {
    "train": "bounding_box_train/*.jpg",
    "query": "query/*.jpg",
    "gallery": "bounding_box_test/*.jpg",
}
MARKET_SEARCH = {"single query": Search("query", "gallery", "market")}
ANY_CAMERA = {"single query": Search("query", "gallery", "all_cameras")}
ID_CAMERA = r"(?P<id>-?\d+)_c(?P<camera>\d+)[^/]*"
CELEB_TREE = {"train": "train/*.jpg", "query": "query/*.jpg", "gallery": "gallery/*.jpg"}
LAST_TEST = {
    "val_query": "val/query/*.jpg",
    "val_gallery": "val/gallery/*/*.jpg",
    "query": "test/query/*.jpg",
    "gallery": "test/gallery/*/*.jpg",
}
TRAINED_APART = {"train": "training", "val": "training"}
MSMT17_COUNTS = {"query": Count(11_659, 3_060), "gallery": Count(82_161, 3_060)}
TORCHREID = "github.com/KaiyangZhou/deep-person-reid"
MSMT17_COUNTED = (
    f"pictures: {TORCHREID}: msmt17.py, training and validation together; "
    "people: deepwiki.com/vimar-gu/MSINet"
)
MSMT17_TERMS = (
    "Release agreement to be signed (pkuvmc.com/agreement/RELEASE_AGREEMENT-MSMT17.pdf, not read by us)"
)
CUHK03_TERMS = "CUHK's regulations, with respect for the privacy of its students (readme of cuhk03_release)"
LUPERSON = "github.com/DengpanFu/LUPerson"


def _cuhk03(boxes: str, train: int, gallery: int) -> Layout:
    return Layout(
        name=f"cuhk03-np-{boxes}",
        title=f"CUHK03-NP, {boxes} boxes",
        source="github.com/zhunzhong07/person-re-ranking: CUHK03-NP/README.md, there as a Market-1501 tree",
        terms=CUHK03_TERMS,
        reader=FileNames(
            {
                "train": "bounding_box_train/*.png",
                "query": "query/*.png",
                "gallery": "bounding_box_test/*.png",
            },
            ID_CAMERA + r"\.png",
            "query/0003_c1_21.png",
        ),
        counts={"train": Count(train, 767), "query": Count(1_400, 700), "gallery": Count(gallery, 700)},
        counted_by="github.com/zhunzhong07/person-re-ranking: CUHK03-NP/README.md",
        searches=MARKET_SEARCH,
        wrappers=(boxes,),
    )


LAYOUTS = (
    Layout(
        name="market-1501",
        title="Market-1501",
        source=f"{TORCHREID}: docs/datasets.rst, market1501.py; the set's readme",
        terms="Research only; not to be distributed or used commercially (the set's readme)",
        reader=FileNames(
            MARKET_TREE,
            r"(?P<id>-?\d+)_c(?P<camera>\d+)s(?P<sequence>\d+)_(?P<time>\d+)_\d+\.jpg",
            "query/0001_c1s1_001051_00.jpg",
        ),
        counts={"train": Count(12_936, 751), "query": Count(3_368, 750), "gallery": Count(19_732, 751)},
        counted_by="the set's readme; 750 people and the distractors (0) in the gallery, junk (-1) in its pictures",
        searches=MARKET_SEARCH,
        wrappers=("Market-1501-v15.09.15",),
        distractor=0,
    ),
    Layout(
        name="msmt17-v1",
        title="MSMT17 (V1 or V2, with its lists)",
        source=f"{TORCHREID}: msmt17.py. Training and test people are both numbered from 0",
        terms=MSMT17_TERMS,
        reader=msmt17,
        counts={"train+val": Count(32_621, 1_041), **MSMT17_COUNTS},
        counted_by=MSMT17_COUNTED,
        searches=MARKET_SEARCH,
        wrappers=("MSMT17_V1", "MSMT17_V2"),
        numberings=TRAINED_APART,
    ),
    Layout(
        name="msmt17-repacked",
        title="MSMT17 re-packed as a Market-1501 tree",
        source="github.com/Terminator8758/CAP-master: README.md, reid/datasets/target_dataset.py",
        terms=MSMT17_TERMS,
        reader=FileNames(MARKET_TREE, ID_CAMERA + r"\.jpg", "query/0000_c1_0001.jpg"),
        counts={"train": Count(32_621, 1_041), **MSMT17_COUNTS},
        counted_by=MSMT17_COUNTED,
        searches=MARKET_SEARCH,
        numberings=TRAINED_APART,
    ),
    _cuhk03("labeled", 7_368, 5_328),
    _cuhk03("detected", 7_365, 5_332),
    Layout(
        name="grid",
        title="QMUL underGround Re-IDentification (GRID)",
        source=f"{TORCHREID}: grid.py; ten splits",
        terms="Not found by us; ask the authors (Loy et al., CVPR 2009)",
        reader=grid,
        counts={
            "train": Count(250, 125),
            "query": Count(125, 125),
            "gallery": Count(900),
            "train+query+gallery": Count(1_275),
        },
        counted_by=f"{TORCHREID}: grid.py: 250 people in two pictures, 1,275 pictures, half of the people train; "
        "775 others are in the gallery",
        searches=MARKET_SEARCH,
        wrappers=("underground_reid",),
        trials=10,
        distractor=0,
    ),
    Layout(
        name="celebreid",
        title="Celeb-reID",
        source="github.com/shuxjweb/last: data/datasets/celeba.py, by authors of LaST",
        terms="Research only; not to be distributed or used commercially (github.com/Huang-3/Celeb-reID)",
        reader=FileNames(CELEB_TREE, r"(?P<id>\d+)_\d+_\d+\.jpg", "query/100_13_0.jpg"),
        counts={"train": Count(20_208, 632), "query": Count(2_972, 420), "gallery": Count(11_006, 420)},
        counted_by="github.com/Huang-3/Celeb-reID: README.md",
        searches=ANY_CAMERA,
        wrappers=("Celeb-reID",),
        numberings=TRAINED_APART,
    ),
    Layout(
        name="pku-reid",
        title="PKU-Reid",
        source="github.com/charliememory/PKU-Reid-Dataset: README.md; github.com/JDAI-CV/fast-reid: pku.py. The random "
        "split into 57 and 57 people is not published, so all pictures are one split",
        terms="CC BY-NC-SA 4.0 (github.com/charliememory/PKU-Reid-Dataset)",
        reader=FileNames(
            {"all": "*.png"}, r"(?P<id>\d+)_(?P<camera>\d+)_(?P<orientation>\d+)\.png", "001_1_1.png"
        ),
        counts={"all": Count(1_824, 114)},
        counted_by="github.com/charliememory/PKU-Reid-Dataset: README.md",
        wrappers=("PKUv1a_128x48",),
    ),
    Layout(
        name="last",
        title="LaST",
        source="github.com/shuxjweb/last: data/datasets/last.py; clothes are labelled in training alone "
        "(github.com/guxinqian/Simple-CCReID: data/datasets/last.py)",
        terms="Not found by us; ask the authors (github.com/shuxjweb/last)",
        reader=joined(
            FileNames(
                {"train": "train/*/*.jpg"},
                r"(?P<id>\d+)_(?:[^/]*_)?(?P<clothes>\d+)\.jpg",
                "train/000000/000000_000_0.jpg",
            ),
            FileNames(LAST_TEST, r"(?P<id>\d+)_[^/]*\.jpg", "test/query/000001_000_0.jpg"),
        ),
        counts={
            "train": Count(71_248, 5_000),
            "val_query": Count(100, 56),
            "val_gallery": Count(21_279, 56),
            "query": Count(10_176, 5_805),
            "gallery": Count(125_353, 5_806),
        },
        counted_by="github.com/shuxjweb/last: data/datasets/last.py; README.md has the same sums",
        searches=ANY_CAMERA,
        wrappers=("last",),
        numberings=TRAINED_APART | {"val_query": "validation", "val_gallery": "validation"},
    ),
    Layout(
        name="iusreid",
        title="IUST_PersonReID (IUSReID)",
        source="github.com/ComputerVisionIUST/IUST_PersonReId: README.md, SOLIDER-REID/datasets/iust.py",
        terms="Not found by us; ask the authors (github.com/ComputerVisionIUST/IUST_PersonReId)",
        reader=FileNames(MARKET_TREE, ID_CAMERA + r"\.jpg", "query/0001_c1_s1_000151.jpg"),
        counts={"train+query+gallery": Count(117_455, 1_847)},
        counted_by="github.com/ComputerVisionIUST/IUST_PersonReId: README.md, for the whole",
        searches=MARKET_SEARCH,
        wrappers=("IUSTPersonReID",),
    ),
    Layout(
        name="luperson",
        title="LUPerson",
        source=f"{LUPERSON}: LUP/extract.py, which cuts the pictures out of videos; no identities",
        terms=f"Research only, commercial use forbidden ({LUPERSON})",
        reader=FileNames(
            {"train": "*/*/*.jpg"},
            r"(?P<time>\d{8})_(?P<detection>\d{4})\.jpg",
            "country/city/00000012_0003.jpg",
        ),
        counted_by="published in round numbers only (4M); not checked",
    ),
    Layout(
        name="luperson-nl",
        title="LUPerson-NL",
        source=f"{LUPERSON}-NL: LUP-NL/extract.py; identities come from a tracker",
        terms=f"Not found by us for this set; LUPerson's are research only ({LUPERSON}-NL)",
        reader=FileNames(
            {"train": "*/*/*/*.jpg"},
            r"(?P<id>\d{6,})_(?P<time>\d{7})_(?P<detection>\d{2})\.jpg",
            "country/city/video/000007_0000012_03.jpg",
        ),
        counted_by="published in round numbers only (10M of 430K); not checked",
    ),
    Layout(
        name="world",
        title="Our simulated world's crops",
        source="musewatch world crops: a Market-1501 tree, attributes.jsonl",
        terms="Apache-2.0, as musewatch; nobody in it exists",
        reader=crops,
        counted_by="any number",
        searches=MARKET_SEARCH | {"text to image": Search("query", "gallery", "text_to_image")},
    ),
)
