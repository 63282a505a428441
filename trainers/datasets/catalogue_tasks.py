"""Layouts of the sets of a special task: changed clothes, infrared, text, whole scenes."""

from trainers.datasets.captions import Captions
from trainers.datasets.file_names import FileNames, joined
from trainers.datasets.layout import Count, Layout, Search
from trainers.datasets.lists import regdb, sysu_mm01
from trainers.datasets.person_search import cuhk_sysu, prw
from trainers.datasets.world_scenes import world_scenes

CCREID = "github.com/guxinqian/Simple-CCReID: data/datasets"
IRRA = "github.com/anosorae/IRRA: datasets"
SEQNET = "github.com/serend1p1ty/SeqNet: datasets"
AGW = "github.com/mangye16/Cross-Modal-Re-ID-baseline"
SYSU = "github.com/wuancong/SYSU-MM01"
TRAIN_VAL_TEST = ("train", "val", "test")
PRCC_OUTFITS = {"A": 0, "B": 0, "C": 1}
SCENE_SEARCHES = {f"galleries of {n}": Search("query", "gallery", f"scenes_{n}") for n in (50, 100, 500)}
BY_TEXT = {"text to image": Search("test", "test", "text_to_image")}
MSMT17_CAMERA = r"(?:^|/)\d+_\d+_(?P<camera>\d+)_(?P<time>\d{4}[a-z]+)_"

CLOTHES = (
    Layout(
        name="ltcc",
        title="LTCC",
        source=f"{CCREID}/ltcc.py",
        terms="A research-only agreement with the authors (so says huggingface.co/datasets/Paipile/ltcc-h5)",
        reader=FileNames(
            {"train": "train/*.png", "query": "query/*.png", "gallery": "test/*.png"},
            r"(?P<id>\d+)_(?P<clothes>\d+)_c(?P<camera>\d+)_[^/]*\.png",
            "query/000_1_c9_015833.png",
        ),
        counts={"train": Count(9_576, 77), "query": Count(493, 75), "gallery": Count(7_050, 75)},
        counted_by="public loaders after Simple-CCReID's; together the 17,119 pictures of 152 people of the set's page",
        searches={
            "standard": Search("query", "gallery", "clothes_general"),
            "cloth-changing": Search("query", "gallery", "clothes_changing"),
        },
        made_for="cloth-changing",
        wrappers=("LTCC_ReID",),
    ),
    Layout(
        name="prcc",
        title="PRCC",
        source=f"{CCREID}/prcc.py: cameras A and B see the same clothes, C others. Two rules are in use: one gallery "
        "picture of each person, drawn at random (the paper), and the whole gallery (the published code)",
        terms="Not found by us; ask the authors (Yang et al., TPAMI 2019)",
        reader=joined(
            FileNames(
                {"train": "rgb/train/*/*.jpg", "val": "rgb/val/*/*.jpg"},
                r"(?P<id>\d+)/(?P<camera>[ABC])_[^/]*\.jpg",
                "rgb/train/001/A_cropped_rgb001.jpg",
                PRCC_OUTFITS,
            ),
            FileNames(
                {
                    "gallery": "rgb/test/A/*/*.jpg",
                    "query_same": "rgb/test/B/*/*.jpg",
                    "query_changed": "rgb/test/C/*/*.jpg",
                },
                r"(?P<camera>[ABC])/(?P<id>\d+)/[^/]*\.jpg",
                "rgb/test/A/002/cropped_rgb001.jpg",
                PRCC_OUTFITS,
            ),
        ),
        counts={
            "train": Count(17_896, 150),
            "query_same": Count(3_873, 71),
            "query_changed": Count(3_543, 71),
            "gallery": Count(3_384, 71),
            "train+val+query_same+query_changed+gallery": Count(33_698, 221),
        },
        counted_by="github.com/shuxjweb/last: data/datasets/prcc.py; the sum: Yang et al., TPAMI 2019",
        searches={
            "same clothes": Search("query_same", "gallery", "single_shot"),
            "cross-clothes": Search("query_changed", "gallery", "single_shot"),
            "same clothes, whole gallery": Search("query_same", "gallery", "all_cameras"),
            "cross-clothes, whole gallery": Search("query_changed", "gallery", "all_cameras"),
        },
        made_for="cross-clothes",
        wrappers=("prcc",),
    ),
)
INFRARED = (
    Layout(
        name="sysu-mm01",
        title="SYSU-MM01",
        source=f"{SYSU}: README.md; {AGW}: pre_process_sysu.py",
        terms=f"Release agreement to be signed, scientific research ({SYSU})",
        reader=sysu_mm01,
        counts={
            "train": Count(30_213, 296),
            "val": Count(None, 99),
            "train+val": Count(34_167, 395),
            "query": Count(3_803, 96),
            "gallery": Count(6_775, 96),
        },
        counted_by=f"{SYSU}: README.md (people), evaluation/data_split (pictures); training and validation together: "
        "github.com/bismex/HiCMD: README.md (22,258 visible, 11,909 infrared)",
        searches={
            "all-search": Search("query", "gallery", "sysu_all"),
            "indoor-search": Search("query", "gallery", "sysu_indoor"),
        },
        wrappers=("SYSU-MM01",),
    ),
    Layout(
        name="regdb",
        title="RegDB",
        source=f"{AGW}: data_loader.py, data_manager.py, test.py; ten splits. Training and test people are both "
        "numbered from 0",
        terms=f"Copyright form to be submitted at dm.dongguk.edu ({AGW}: README.md)",
        reader=regdb,
        counts={"train": Count(4_120, 206), "query": Count(2_060, 206), "gallery": Count(2_060, 206)},
        counted_by="412 people in ten visible and ten thermal pictures (Nguyen et al., Sensors 17(3)); half train",
        searches={
            "visible to thermal": Search("query", "gallery", "all_cameras"),
            "thermal to visible": Search("gallery", "query", "all_cameras"),
        },
        wrappers=("RegDB",),
        trials=10,
        numberings={"train": "training"},
    ),
)
TEXT = (
    Layout(
        name="cuhk-pedes",
        title="CUHK-PEDES",
        source=f"{IRRA}/cuhkpedes.py",
        terms="Academic use, by request to the authors "
        "(github.com/ShuangLI59/Person-Search-with-Natural-Language-Description)",
        reader=Captions(("reid_raw.json",), "file_path", TRAIN_VAL_TEST),
        counts={
            "train": Count(34_054, 11_003),
            "val": Count(3_078, 1_000),
            "test": Count(3_074, 1_000),
            "train+val+test": Count(40_206, 13_003),
        },
        counted_by=f"the sum: {IRRA}/cuhkpedes.py; the parts: "
        "github.com/machine-learning-playground/tbps-background-knowledge: datasets/cuhk-pedes",
        searches=BY_TEXT,
        wrappers=("CUHK-PEDES",),
    ),
    Layout(
        name="icfg-pedes",
        title="ICFG-PEDES",
        source=f"{IRRA}/icfgpedes.py; github.com/zifyloo/SSAN: README.md (paths are MSMT17's, with camera and time)",
        terms="By request to the authors (github.com/zifyloo/SSAN); its pictures are MSMT17's",
        reader=Captions(
            ("ICFG-PEDES.json", "ICFG_PEDES.json"), "file_path", ("train", "test"), MSMT17_CAMERA
        ),
        counts={"train": Count(34_674), "test": Count(19_848), "train+test": Count(54_522, 4_102)},
        counted_by=f"{IRRA}/icfgpedes.py",
        searches=BY_TEXT,
        wrappers=("ICFG-PEDES",),
    ),
    Layout(
        name="rstpreid",
        title="RSTPReid",
        source=f"{IRRA}/rstpreid.py",
        terms="MIT (github.com/NjtechCVLab/RSTPReid-Dataset: LICENSE); its pictures are MSMT17's",
        reader=Captions(("data_captions.json",), "img_path", TRAIN_VAL_TEST, r"(?:^|/)\d+_c(?P<camera>\d+)_"),
        counts={"train": Count(18_505, 3_701), "val": Count(1_000, 200), "test": Count(1_000, 200)},
        counted_by="github.com/NjtechCVLab/RSTPReid-Dataset: README.md",
        searches=BY_TEXT,
        wrappers=("RSTPReid",),
    ),
)
SCENES = (
    Layout(
        name="cuhk-sysu",
        title="CUHK-SYSU",
        source=f"the set's README; {SEQNET}/cuhk_sysu.py; github.com/ShuangLI59/person_search: lib/datasets/psdb.py",
        terms="Non-commercial research and education; not to be distributed (the set's README)",
        reader=cuhk_sysu,
        counts={
            "train": Count(None, 5_532, 11_206),
            "query": Count(2_900, 2_900),
            "gallery": Count(None, 2_900, 6_978),
        },
        counted_by="the set's README; published numbers of boxes differ",
        wrappers=("CUHK-SYSU",),
    ),
    Layout(
        name="prw",
        title="PRW",
        source=f"{SEQNET}/prw.py; zheng-lab-anu.github.io/Project/project_prw.html",
        terms="Not found by us; ask the authors (github.com/liangzheng06/PRW-baseline)",
        reader=prw,
        counts={
            "train": Count(pictures=5_704),
            "query": Count(2_057, 450),
            "gallery": Count(pictures=6_112),
            "train+gallery": Count(43_110, 932, 11_816),
        },
        counted_by="the set's page (frames, people); Zheng et al., CVPR 2017, as cited by later papers (split, boxes)",
        wrappers=("PRW", "PRW-v16.04.20"),
    ),
    Layout(
        name="world-scenes",
        title="Our simulated world's scenes",
        source="musewatch world scenes: scenes.jsonl, queries.jsonl",
        terms="Apache-2.0, as musewatch; nobody in it exists",
        reader=world_scenes,
        counted_by="any number",
        searches=SCENE_SEARCHES,
    ),
    Layout(
        name="m2reid",
        title="M2ReID",
        source="Yan et al., PS-ReID, arXiv:2503.21595, announce the set, and we found no published layout",
        terms="Not found by us; the set is announced (arXiv:2503.21595)",
        reader=None,
        counts={"train": Count(221_464, 3_670), "test": Count(91_695, 1_224), "query": Count(1_224, 1_224)},
        counted_by="arXiv:2503.21595, V.A",
    ),
)
LAYOUTS = (*CLOTHES, *INFRARED, *TEXT, *SCENES)
