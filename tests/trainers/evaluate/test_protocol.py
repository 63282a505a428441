"""`musewatch evaluate protocol` as a script calls it: which rows there are, and that their figures are right."""

import csv
import json

import cv2
import numpy as np
import pytest
import yaml

from pipeline.cli.main import main
from pipeline.rerank import Distances, MuEntries, ecn, mu_distance
from tests.trainers.evaluate.feature_files import arrays
from trainers.metrics import retrieval_scores

SETS = ("alpha", "beta", "gamma")


def write_features(folder):
    """Features and answers of two encoders on three sets."""
    for number, encoder in enumerate(("on-alpha", "on-two")):
        for offset, name in enumerate(SETS):
            content = arrays(seed=10 * number + offset)
            judged = {"candidates": content.pop("candidates"), "p_no": content.pop("p_no")}
            logits = {
                "s_yes": np.where(judged["p_no"] < 0.5, 6.0, 0.0),
                "s_no": np.full(judged["p_no"].shape, 2.0),
            }
            np.savez(folder / f"{encoder}-{name}.npz", **content)
            np.savez(folder / f"answers-{encoder}-{name}.npz", candidates=judged["candidates"], **logits)


def plan(**changes):
    return {
        "version": 1,
        "title": "Three sets",
        "sets": {name: {} for name in SETS},
        "encoders": {
            "on-alpha": {"sources": ["alpha"], "features": "{encoder}-{set}.npz"},
            "on-two": {"sources": ["alpha", "beta"], "features": "{encoder}-{set}.npz"},
        },
        "verifiers": {"judge": {"tuned_on": ["alpha"], "answers": "answers-{encoder}-{set}.npz"}},
        "protocols": ["single_source", "leave_one_out", "intra"],
        "rerank": ["none", {"use": "ecn", "k": 10}],
        "top_c": 4,
    } | changes


def run(tmp_path, capsys, **changes):
    write_features(tmp_path)
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(plan(**changes)))
    code = main(["evaluate", "protocol", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "out"), "--json"])
    streams = capsys.readouterr()
    return code, json.loads(streams.out), streams.err


def test_rows_are_those_of_the_protocols(tmp_path, capsys):
    code, document, _ = run(tmp_path, capsys)
    assert code == 0
    found = [
        (r["protocol"], r["sources"], r["target"], r["tuning"], r["rerank"], r["alpha"])
        for r in document["rows"]
    ]
    both = ("none", "ecn")
    assert found == [
        *(("intra", "alpha", "alpha", "", name, None) for name in both),
        *(("intra", "alpha", "alpha", "source_aware", name, 0.1) for name in both),
        *(("single_source", "alpha", "beta", "", name, None) for name in both),
        *(("single_source", "alpha", "beta", "source_aware", name, 0.2) for name in both),
        *(("single_source", "alpha", "gamma", "", name, None) for name in both),
        *(("single_source", "alpha", "gamma", "source_aware", name, 0.2) for name in both),
        *(("leave_one_out", "alpha+beta", "gamma", "", name, None) for name in both),
    ]
    with (tmp_path / "out" / "table.csv").open() as file:
        assert [row["mAP"] for row in csv.DictReader(file)] == [str(row["mAP"]) for row in document["rows"]]
    assert json.loads((tmp_path / "out" / "table.json").read_text())["rows"] == document["rows"]
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.count("\n| single_source |") == 8
    assert "## mAP of encoders by sets" in text
    picture = cv2.imread(str(tmp_path / "out" / "table.png"))
    assert picture.shape[1] > 900
    assert picture.std() > 10


def test_figures_are_those_of_the_functions(tmp_path, capsys):
    _, document, _ = run(tmp_path, capsys, protocols=["single_source"], tau=3.0)
    a = arrays(seed=1)
    d = Distances.from_features(a["query_features"], a["gallery_features"])
    p_no = np.where(a["p_no"] < 0.5, 1 / (1 + np.exp(4 / 3)), 1 / (1 + np.exp(-2 / 3))).astype(np.float32)
    mu = MuEntries(a["candidates"][:, :4], p_no[:, :4], 0.2)
    rows = [row for row in document["rows"] if row["target"] == "beta"]
    for row, table in zip(rows[2:], (mu_distance(d, mu), ecn(d, k=10, mu=mu)), strict=True):
        labels = a["query_ids"], a["gallery_ids"], a["query_cameras"], a["gallery_cameras"]
        assert row["mAP"] == pytest.approx(retrieval_scores(table, *labels).mAP, abs=1e-6)


def test_every_rule_gives_a_row(tmp_path, capsys):
    write_features(tmp_path)
    content = arrays(seed=0, gallery=200, people=30, cameras=6) | {
        "query_clothes": np.arange(20) % 2,
        "gallery_clothes": np.arange(200) % 2,
        "gallery_scenes": np.arange(200) // 3,
    }
    del content["candidates"], content["p_no"]
    np.savez(tmp_path / "on-alpha-alpha.npz", **content)
    rules = ["market", "all_cameras", "text_to_image", "single_shot", "clothes_general", "clothes_changing",
             "clothes_same", "sysu_all", "sysu_indoor", "scenes_50"]  # fmt: skip
    changes = {
        "sets": {"alpha": {"rules": rules}},
        "protocols": ["grid"],
        "rerank": ["none"],
        "verifiers": {},
    }
    changes["encoders"] = {"on-alpha": {"features": "{encoder}-{set}.npz"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(plan(**changes)))
    assert (
        main(["evaluate", "protocol", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "o"), "--json"]) == 0
    )
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["rule"] for row in rows] == rules
    assert all(0 < row["mAP"] <= 1 and 0 <= row["R1"] <= 1 for row in rows)


def test_pictures_are_embedded_once_and_shown(tmp_path, capsys):
    people = {1: (40, 40, 200), 2: (200, 60, 40), 3: (60, 180, 60)}
    rng = np.random.default_rng(0)
    for split in ("query", "bounding_box_test"):
        (tmp_path / "tree" / split).mkdir(parents=True)
    for person, colour in people.items():
        for camera in (1, 2, 3):
            split = "query" if camera == 1 else "bounding_box_test"
            image = np.clip(np.array(colour) + rng.normal(0, 12, (128, 64, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "tree" / split / f"{person:04d}_c{camera}s1_000001_01.jpg"), image)
    document = {
        "version": 1, "title": "Tints <&>", "sets": {"tints": {"pictures": "tree"}},
        "encoders": {"tint": {"embedder": {"use": "colour"}}}, "protocols": ["grid"], "rank_pages": 2,
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(document))
    line = ["evaluate", "protocol", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "out"), "--json"]
    assert main(line) == 0
    first = capsys.readouterr()
    assert "tint: 9 pictures embedded" in first.err
    assert json.loads(first.out)["rows"][0]["mAP"] == 1.0
    page = (tmp_path / "out" / "ranks-tint-tints-none.html").read_text()
    assert page.count("<section>") == 2
    assert page.count('class="right"') == 4
    assert page.count('class="wrong"') == 8
    assert "Tints &lt;&amp;&gt;" in page
    assert "http" not in page
    assert main(line) == 0
    assert "tint: 0 pictures embedded" in capsys.readouterr().err
    (tmp_path / "tree" / "query" / "0001_c1s1_000001_01.jpg").write_bytes(b"no picture")
    assert main(line) == 3
    assert "0001_c1s1_000001_01.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"encoders": {"x": {}}}, 2, "either an embedder or a path of features"),
        ({"sets": {"alpha": {"rules": ["markt"]}}}, 2, "no rule is called 'markt'"),
        ({"rerank": ["ecm"]}, 2, "no re-ranker is called 'ecm'"),
        ({"rerank": [{"use": "ecn", "kk": 3}]}, 2, "did you mean k?"),
        ({"targets": ["delta"]}, 2, "target 'delta' is not among the sets"),
        ({"alfa": 1}, 2, "alpha"),
        ({"protocols": ["multi_source"], "targets": ["alpha"]}, 2, "no encoder and target fit"),
        ({"encoders": {"x": {"features": "no-{set}.npz"}}, "protocols": ["grid"]}, 3, "there is no file"),
        ({"encoders": {"x": {"embedder": {"use": "colour"}}}, "protocols": ["grid"]}, 2, "needs pictures"),
        ({"sets": {"alpha": {"rules": ["clothes_same"]}}, "protocols": ["grid"]}, 3, "needs query_clothes"),
    ],
)
def test_refusals(tmp_path, capsys, changes, code, says):
    got, document, err = run(tmp_path, capsys, **changes)
    assert got == code
    assert says in err
    assert says in document["error"]


def test_damaged_answers_are_named(tmp_path, capsys):
    write_features(tmp_path)
    np.savez(tmp_path / "far.npz", candidates=np.full((20, 2), 500), p_no=np.full((20, 2), 0.5))
    verifiers = {"judge": {"tuned_on": ["alpha"], "answers": "far.npz"}}
    code, _, err = run(tmp_path, capsys, verifiers=verifiers)
    assert code == 3
    assert "far.npz: query 0 lists candidate 500" in err


def test_pictures_must_be_those_of_the_features(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("path,split,id,camera\na.jpg,query,1,1\na.jpg,gallery,1,2\n")
    code, _, err = run(tmp_path, capsys, sets={"alpha": {"table": "t.csv"}}, rank_pages=2)
    assert code == 3
    assert "(1, 1) pictures (queries, gallery) for (20, 120) features" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,split,id\na.jpg,query,1\n", "no column camera"),
        ("path,split,id,camera\na.jpg,probe,1,1\n", "line 2"),
        ("path,split,id,camera\na.jpg,query,one,1\n", "line 2"),
        ("path,split,id,camera\na.jpg,query,1,1\n", "both queries and gallery"),
        ("path,split,id,camera\na.jpg,query,1,1\na.jpg,gallery,1,2\n", "a.jpg cannot be read"),
    ],
)
def test_damaged_picture_tables(tmp_path, capsys, text, says):
    (tmp_path / "t.csv").write_text(text)
    changes = {"sets": {"alpha": {"table": "t.csv"}}, "encoders": {"x": {"embedder": {"use": "colour"}}}}
    code, _, err = run(tmp_path, capsys, protocols=["grid"], **changes)
    assert code == 3
    assert says in err
