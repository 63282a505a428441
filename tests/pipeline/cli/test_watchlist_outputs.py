"""What every `watchlist` command prints, to the byte: programs read it."""

import json
import re
from pathlib import Path

import pytest

from tests.support.enrolment_desk import CONFIG, Desk, drawn_detector
from tests.support.pictures import BLUE, GREEN, RED, person, scene
from tests.tree import ROOT

EXPECTED = ROOT / "tests" / "pipeline" / "cli" / "watchlist_outputs.json"
ADD = ("--whole", "--image")

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("list", "--json"),
    ("add", "--id", "anna", *ADD, "anna.jpg"),
    ("add", "--id", "anna", "--name", "Zoé", "--purpose", "lost child", "--valid-until", "2999-12-31T10:00",
     *ADD, "anna.jpg", "green.jpg", "--json"),
    ("add", "--id", "luca", "--valid-until", "2001-01-01", "--image", "scene.jpg"),
    ("add", "--id", "twin", *ADD, "anna.jpg", "tiny.jpg", "none.jpg", "--json"),
    ("add", "--id", "twin", *ADD, "tiny.jpg"),
    ("add", "--id", "p9", "--image", "two.jpg", "--json"),
    ("add", "--id", "p9", "--image", "two.jpg"),
    ("add", "--id", "p9", "--image", "two.jpg", "--box", "900,900,950,950"),
    ("add", "--id", "p9"),
    ("add", "--id", "p9", "--whole", "--box", "1,2,3,4", "--image", "anna.jpg"),
    ("add", "--id", "p9", "--box", "1,2,3,4", "--image", "anna.jpg", "green.jpg"),
    ("add", "--id", "p9", "--box", "1,2,3", "--image", "anna.jpg"),
    ("add", "--id", "p9", "--box", "1,2,inf,4", "--image", "anna.jpg"),
    ("add", "--id", "p 9", *ADD, "anna.jpg"),
    ("add", "--id", "p9", "--valid-until", "soon", *ADD, "anna.jpg"),
    ("add", "--id", "p9", "--text", "a red coat"),
    ("add", "--id", "p9", "--attr", "wings=two"),
    ("list",),
    ("list", "--json"),
    ("show", "anna"),
    ("show", "anna", "--json"),
    ("show", "ana"),
    ("export", "out.zip"),
    ("export", "out.zip", "--json"),
    ("backup", "copy.db"),
    ("backup", "copy.db", "--json"),
    ("remove", "nobody"),
    ("remove", "anna"),
    ("remove", "luca", "--json"),
    ("import", "out.zip"),
    ("add", "--id", "luca", *ADD, "blue.jpg", "--json"),
    ("import", "out.zip"),
    ("import", "out.zip", "--replace", "--json"),
    ("import", "anna.jpg"),
    ("restore", "copy.db"),
    ("restore", "copy.db", "--json"),
    ("restore", "anna.jpg"),
    ("publish",),
    ("publish", "--json"),
    ("list", "--json"),
)  # fmt: skip


def plain(text: str) -> str:
    """Without the time of the day, and what depends on the library that writes pictures."""
    text = re.sub(r"20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
    return re.sub(r"\d+(?= bytes)|(?<=\"size_bytes\": )\d+", "SIZE", text)


def transcript(desk: Desk) -> list[list[object]]:
    """Command, exit code, stdout and stderr of each."""
    return [
        [" ".join(command), code, plain(out), plain(err)]
        for command in COMMANDS
        for code, out, err in [desk.run(*command)]
    ]


def test_every_command_prints_what_it_always_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_detector(monkeypatch)
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path, capsys)
    (tmp_path / "musewatch.yaml").write_text(CONFIG)
    for name, image in {
        "anna": person(160, RED), "green": person(160, GREEN), "blue": person(160, BLUE), "tiny": person(20),
        "scene": scene(person(160, BLUE)), "two": scene(person(160), person(160, BLUE)),
    }.items():  # fmt: skip
        desk.picture(f"{name}.jpg", image)
    said = json.loads(json.dumps(transcript(desk)).replace(str(tmp_path), "FOLDER"))
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    assert len(said) == len(expected)
    for here, there in zip(said, expected, strict=True):
        assert here == there
