"""`musewatch evaluate features` as a script calls it."""

import json
import zipfile

import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.rerank import Distances, MuEntries, camera_jaccard, ecn, k_reciprocal, mu_distance
from tests.trainers.evaluate.feature_files import arrays
from trainers.metrics import retrieval_scores
from trainers.metrics.open_set import Nearest
from trainers.metrics.retrieval import RetrievalScores

ALL = [f"--rerank={name}" for name in ("none", "k_reciprocal", "ecn", "camera_jaccard")]


def write(tmp_path, **changes):
    content = {name: value for name, value in (arrays() | changes).items() if value is not None}
    np.savez(tmp_path / "f.npz", **content)
    return str(tmp_path / "f.npz")


def test_rows_files_and_scores_agree_with_the_functions(tmp_path, capsys):
    file = write(tmp_path)
    line = [
        "evaluate",
        "features",
        file,
        *ALL,
        "--param=k1=7",
        "--alpha=0.3",
        f"--save={tmp_path / 'out'}",
        "--raw",
    ]
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    a = arrays()
    d = Distances.from_features(a["query_features"], a["gallery_features"])
    mu = MuEntries(a["candidates"], a["p_no"], 0.3)
    cameras = a["query_cameras"], a["gallery_cameras"]
    want = {
        ("none", True): mu_distance(d, mu),
        ("k_reciprocal", True): k_reciprocal(d, k1=7, mu=mu),
        ("k_reciprocal", False): k_reciprocal(d, k1=7),
        ("ecn", True): ecn(d, mu=mu),
        ("camera_jaccard", True): camera_jaccard(d, *cameras, k1=7, mu=mu),
    }
    assert (document["queries"], document["gallery"], len(document["rows"])) == (20, 120, 8)
    rows = {(row["rerank"], row["mu"]): row for row in document["rows"]}
    for (name, with_mu), distances in want.items():
        saved = np.load(tmp_path / "out" / (f"{name}.npy" if with_mu else f"{name}_raw.npy"))
        assert saved.dtype == np.float32
        np.testing.assert_array_equal(saved, distances)
        scores = retrieval_scores(distances, a["query_ids"], a["gallery_ids"], *cameras)
        row = rows[name, with_mu]
        assert (row["mAP"], row["R1"], row["R10"], row["mINP"]) == pytest.approx(
            (scores.mAP, scores.cmc[0], scores.cmc[9], scores.mINP)
        )
        assert row["seconds"] >= 0
        assert row["peak_mb"] > 1
    assert rows["k_reciprocal", True]["params"] == {
        "k1": 7,
        "k2": 6,
        "lambda_": 0.3,
        "power": 2.0,
        "alpha": 0.3,
    }


def test_without_opinions_there_is_one_raw_row_for_each_reranker(tmp_path, capsys):
    file = write(tmp_path, candidates=None, p_no=None)
    assert main(["evaluate", "features", file, *ALL, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["rerank"], row["mu"]) for row in rows] == [
        (name, False) for name in ("none", "k_reciprocal", "ecn", "camera_jaccard")
    ]


def test_a_table_for_people(tmp_path, capsys):
    assert main(["evaluate", "features", write(tmp_path), "--rerank", "camera_jaccard"]) == 0
    text = capsys.readouterr().out
    assert "20 queries, 120 gallery images" in text
    assert "camera_jaccard" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"query_cameras": None}, "missing: query_cameras"),
        ({"gallery_cameras": np.zeros(3, int)}, r"gallery_cameras has shape \(3,\), expected \(120,\)"),
        (
            {"gallery_features": np.full((120, 16), np.nan)},
            "gallery_features holds a value that is not finite",
        ),
        (
            {"gallery_features": np.zeros((120, 3))},
            r"gallery_features has shape \(120, 3\), expected \(any, 16\)",
        ),
        (
            {"query_features": np.zeros((20, 0)), "gallery_features": np.zeros((120, 0))},
            "rows of no numbers",
        ),
        ({"p_no": None}, "candidates without p_no"),
        ({"candidates": None}, "p_no without candidates"),
        ({"candidates": np.full((20, 8), 120)}, "query 0 lists candidate 120"),
        ({"gallery_ids": np.full(120, -1)}, "no query has a match in the gallery"),
        ({"query_ids": np.array([b"x"] * 20, object)}, "not a readable .npz"),
        (
            {
                "gallery_features": np.zeros((0, 16)),
                "gallery_ids": np.zeros(0, int),
                "gallery_cameras": np.zeros(0, int),
            },
            "20 queries and 0 gallery images",
        ),
    ],
)
def test_damaged_files_are_refused_with_3(tmp_path, capsys, changes, says):
    import re

    assert main(["evaluate", "features", write(tmp_path, **changes), "--json"]) == 3
    streams = capsys.readouterr()
    assert re.search(says, streams.err)
    assert re.search(says, json.loads(streams.out)["error"])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--rerank=jaccard", "known: none, k_reciprocal, ecn, camera_jaccard"),
        ("--param=powr=2", "did you mean power?"),
        ("--param=k1=two", "expected int"),
        ("--param=k1=0", "must be a whole number of at least 1"),
        ("--alpha=3", "alpha = 3.0 must be in [0, 1]"),
    ],
)
def test_wrong_options_end_with_2(tmp_path, capsys, option, says):
    assert main(["evaluate", "features", write(tmp_path), "--rerank=k_reciprocal", option]) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["evaluate", "features", str(tmp_path / "no.npz")]) == 3
    assert "there is no file" in capsys.readouterr().err


def test_open_set_rates_and_the_curve_as_a_picture(tmp_path, capsys):
    a = arrays()
    ids = np.where(np.arange(len(a["query_ids"])) % 3 == 0, 900, a["query_ids"])
    file = write(tmp_path, query_ids=ids, candidates=None, p_no=None)
    assert main(["evaluate", "features", file, "--open-set", "--rerank=none", "--rerank=ecn", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (tmp_path / "f.det.png").read_bytes().startswith(b"\x89PNG")
    d = Distances.from_features(a["query_features"], a["gallery_features"])
    cameras = a["query_cameras"], a["gallery_cameras"]
    for row, distances in zip(document["rows"], (mu_distance(d, None), ecn(d)), strict=True):
        curve = Nearest.of(distances, ids, a["gallery_ids"], *cameras).curve()
        assert (row["open_set"]["mated"], row["open_set"]["strangers"]) == (curve.mated, curve.strangers)
        assert [point["fpir"] for point in row["open_set"]["points"]] == [0.001, 0.01, 0.1]
        for point in row["open_set"]["points"]:
            assert point["tpir"] == curve.at(point["fpir"]).tpir
            assert point["band"][0] <= point["tpir"] <= point["band"][1]


def test_without_strangers_there_is_no_open_set(tmp_path, capsys):
    assert main(["evaluate", "features", write(tmp_path), "--open-set"]) == 3
    assert "open-set rates need both kinds" in capsys.readouterr().err


def test_a_sliding_gallery_scores_as_sets_made_afresh(tmp_path, capsys):
    a = arrays()
    file = write(tmp_path, candidates=None, p_no=None)
    line = ["evaluate", "features", file, "--window=60", "--step=30", "--rerank=k_reciprocal", "--param=k1=7"]
    assert main([*line, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    parts = []
    for start in (0, 30, 60):
        rows = slice(start, start + 60)
        d = Distances.from_features(a["query_features"], a["gallery_features"][rows])
        labels = a["query_ids"], a["gallery_ids"][rows], a["query_cameras"], a["gallery_cameras"][rows]
        parts.append(retrieval_scores(k_reciprocal(d, k1=7), *labels))
    assert row["mAP"] == pytest.approx(RetrievalScores.joined(parts).mAP)


@pytest.mark.parametrize("option", [["--window=121"], ["--window=20", "--step=21"]])
def test_a_window_that_does_not_fit(tmp_path, capsys, option):
    file = write(tmp_path, candidates=None, p_no=None)
    assert main(["evaluate", "features", file, *option]) == 2
    assert "does not fit 120 gallery rows" in capsys.readouterr().err


def with_member(path, **changes):
    """Changes the first entry of a zip's list of members."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 6 : at + 8] = changes["needs"].to_bytes(2, "little")
    path.write_bytes(data)


def damaged_data(path):
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        for _ in range(1025):
            member.write(bytes(2**20))


def odd_header(path):
    with zipfile.ZipFile(path, "w") as archive:
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 30 + b",)}"
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)


@pytest.mark.parametrize(
    "damage", [lambda path: with_member(path, needs=999), damaged_data, bomb, odd_header]
)
def test_a_damaged_npz_is_refused_and_said_in_one_line(tmp_path, capsys, damage):
    np.savez_compressed(tmp_path / "f.npz", **arrays())
    damage(tmp_path / "f.npz")
    assert main(["evaluate", "features", str(tmp_path / "f.npz")]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "f.npz" in line
    assert "unexpected" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gallery_ids", np.uint64(2**64 - 1)),
        ("gallery_ids", np.int64(-(2**63))),
        ("query_cameras", np.float64(1e30)),
        ("query_ids", np.float32(2**60)),
    ],
)
def test_labels_that_would_wrap_are_refused(tmp_path, capsys, name, value):
    content = arrays()
    content[name] = np.full(len(content[name]), value)
    assert main(["evaluate", "features", write(tmp_path, **content)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
