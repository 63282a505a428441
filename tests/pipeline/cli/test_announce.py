"""Changes of the watchlist are told to the group, or the operator hears that they were not."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipeline import registry
from pipeline.settings import Settings
from pipeline.testing import ListBus
from tests.support.enrolment_desk import CONFIG, Desk, drawn_detector
from tests.support.pictures import RED, person

BUSES: list[ListBus] = [ListBus()]


class SharedBus:
    """The one bus of a test, through the registry."""

    class Config(Settings):
        """Nothing to set."""

    def __new__(cls, config: Config) -> "SharedBus":
        del config
        return BUSES[0]  # type: ignore[return-value]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    drawn_detector(monkeypatch)
    BUSES[0] = ListBus()
    point = EntryPoint("shared", f"{__name__}:SharedBus", "musewatch.bus")
    monkeypatch.setitem(registry.known("bus"), "shared", point)
    made = Desk(tmp_path, capsys)
    (tmp_path / "c.yaml").write_text(CONFIG + "bus: {use: shared}\n")
    return made


def rows() -> list[tuple[bytes | None, bool]]:
    """Key and whether there is a value, of every row of an identity written."""
    written = [(message.key, message.value is not None) for message in BUSES[0].watchlist.log]
    return [row for row in written if row != (b".contents", True)]


def test_what_changes_is_published(desk: Desk) -> None:
    photo = desk.picture("p.jpg", person(200, RED))
    desk.json("add", "--id", "anna", "--image", photo, "--whole")
    desk.json("remove", "anna")
    assert rows() == [(b"anna", True), (b"anna", False)]
    desk.json("add", "--id", "luca", "--image", photo, "--whole")
    desk.json("export", str(desk.folder / "w.zip"))
    desk.json("remove", "luca")
    desk.json("import", str(desk.folder / "w.zip"))
    assert rows()[2:] == [(b"luca", True), (b"luca", False), (b"luca", True)]
    assert desk.json("publish") == {"published": 2, "version": 5}
    assert rows()[5:] == [(b"anna", False), (b"luca", True)]


def test_who_could_not_be_told_is_told_later(desk: Desk) -> None:
    BUSES[0].watchlist.down = 1
    photo = desk.picture("p.jpg", person(200, RED))
    code, _, err = desk.run("add", "--id", "anna", "--image", photo, "--whole")
    assert code == 4
    assert "the table is away" in err
    assert "musewatch watchlist publish" in err
    assert [i["id"] for i in desk.json("list")["identities"]] == ["anna"], "it is kept here"
    desk.json("publish")
    assert rows() == [(b"anna", True)]


def test_nobody_is_there_to_be_told_in_one_process(desk: Desk) -> None:
    (desk.folder / "c.yaml").write_text(CONFIG)
    code, _, err = desk.run("publish")
    assert code == 2
    assert "nobody to tell" in err
