"""`musewatch watchlist`: people enrolled by texts and attributes."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipeline import registry
from pipeline.settings import Settings
from pipeline.testing import FakeReader
from tests.support.enrolment_desk import CONFIG, Desk, drawn_detector
from tests.support.pictures import person


class Reader(FakeReader):
    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        super().__init__()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    drawn_detector(monkeypatch)
    point = EntryPoint("reader", f"{__name__}:Reader", "musewatch.embedder")
    monkeypatch.setitem(registry.known("embedder"), "reader", point)
    desk = Desk(tmp_path, capsys)
    text = CONFIG.replace("{use: onnx, engine: engine/tiny.yaml}", "{use: reader}")
    (tmp_path / "c.yaml").write_text(f"{text}decision: {{max_distance_text: 0.6}}\n")
    return desk


def test_texts_attributes_and_a_picture_together(desk: Desk) -> None:
    path = desk.picture("p3.jpg", person(160))
    answer = desk.json(
        "add", "--id", "p3", "--image", path, "--whole", "--text", "all in red", "--text", "a red coat",
        "--attr", "upper=coat", "--attr", "upper_colour=red",
    )  # fmt: skip
    assert answer == {"id": "p3", "enrolled": 4, "refused": [], "warnings": [], "version": 1}
    shown = desk.json("show", "p3")["enrolments"]
    assert [(each["kind"], each["text"]) for each in shown] == [
        ("picture", None), ("text", "all in red"), ("text", "a red coat"),
        ("text", "A photo of a person, wearing a red coat."),
    ]  # fmt: skip
    assert desk.json("list")["identities"][0]["enrolments"] == 4
    assert "text 2: 'all in red', added " in desk.run("show", "p3")[1]
    assert desk.run("remove", "p3")[1] == "p3 removed, with 1 picture and 3 texts\n"


def test_a_text_alone_in_words(desk: Desk) -> None:
    assert desk.run("add", "--id", "p1", "--text", "red") == (0, "p1: 1 text enrolled\n", "")


def test_an_archive_brings_texts(desk: Desk, tmp_path: Path) -> None:
    desk.json("add", "--id", "p1", "--text", "red", "--text", "blue")
    archive = str(tmp_path / "w.zip")
    assert desk.run("export", archive)[1] == f"1 identities with 2 texts written to {archive}\n"
    desk.json("remove", "p1")
    assert desk.json("import", archive) == {"file": archive, "identities": 1, "enrolments": 2}
    assert [each["text"] for each in desk.json("show", "p1")["enrolments"]] == ["red", "blue"]


def test_it_says_so_where_nobody_would_be_compared_with_the_text(desk: Desk) -> None:
    path = desk.folder / "c.yaml"
    path.write_text(path.read_text().replace("decision: {max_distance_text: 0.6}", ""))
    (warning,) = desk.json("add", "--id", "p1", "--text", "red")["warnings"]
    assert "decision.max_distance_text" in warning


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ((), 2, "nothing says who is meant"),
        (("--attr", "uper=coat"), 2, "did you mean 'upper'"),
        (("--text", "red", "--box", "1,2,3,4"), 2, "give one --image with it"),
        (("--text", " "), 3, "cannot be enrolled as a text"),
        (("--text", "red and more than the ten words that this tower reads"), 3, "longer than ten words"),
    ],
)
def test_what_cannot_be_enrolled(desk: Desk, arguments: tuple[str, ...], code: int, problem: str) -> None:
    answer, _, err = desk.run("add", "--id", "p1", *arguments)
    assert answer == code
    assert problem in err
    assert desk.json("list")["version"] == 0


def test_an_embedder_that_reads_no_texts_refuses(desk: Desk) -> None:
    (desk.folder / "c.yaml").write_text(CONFIG)
    code, out, err = desk.run("add", "--id", "p1", "--text", "red", "--image", "none.jpg")
    assert (code, out) == (2, "")
    assert "the embedder of this config reads no texts" in err
    assert err.count("\n") == 1
