"""`musewatch watchlist`: what each command does, prints and answers."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.enrolment_desk import Desk, drawn_detector
from tests.support.pictures import BLUE, GREEN, RED, person, scene


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    drawn_detector(monkeypatch)
    return Desk(tmp_path, capsys)


def enrol(desk: Desk, id_: str, *shirts: tuple[int, int, int], options: tuple[str, ...] = ()) -> None:
    images = [desk.picture(f"{id_}-{i}.jpg", person(160, shirt)) for i, shirt in enumerate(shirts)]
    desk.json("add", "--id", id_, "--whole", "--image", *images, *options)


def test_the_line_of_the_contract(desk: Desk) -> None:
    path = desk.picture("p3.jpg", person(160))
    answer = desk.json("add", "--id", "p3", "--image", path, "--whole")
    assert answer == {"id": "p3", "enrolled": 1, "refused": [], "warnings": [], "version": 1}


def test_the_same_in_words(desk: Desk) -> None:
    code, out, err = desk.run("add", "--id", "p3", "--image", desk.picture("p3.jpg", person(160)), "--whole")
    assert (code, out, err) == (0, "p3: 1 picture enrolled\n", "")


@pytest.mark.parametrize("form", ["several", "repeated", "equals", "mixed"])
def test_images_may_follow_each_other_or_repeat_the_option(desk: Desk, form: str) -> None:
    a, b, c = (desk.picture(f"{i}.jpg", person(160, shirt)) for i, shirt in enumerate((RED, GREEN, BLUE)))
    images = {
        "several": ["--image", a, b, c],
        "repeated": ["--image", a, "--image", b, "--image", c],
        "equals": [f"--image={a}", b, c],
        "mixed": ["--image", a, b, "--whole", "--image", c],
    }[form]
    whole = [] if form == "mixed" else ["--whole"]
    assert desk.json("add", *images, "--id", "p1", *whole)["enrolled"] == 3


def test_a_scene_with_one_person(desk: Desk) -> None:
    path = desk.picture("scene.jpg", scene(person(160)))
    assert desk.json("add", "--id", "p1", "--image", path)["enrolled"] == 1


def test_one_of_two_people_by_the_box_that_the_refusal_gave(desk: Desk) -> None:
    path = desk.picture("two.jpg", scene(person(160), person(160, BLUE)))
    code, _, err = desk.run("add", "--id", "p1", "--image", path)
    assert code == 3
    box = err.split("--box ")[2].split()[0].rstrip(".,")
    assert desk.json("add", "--id", "p1", "--image", path, "--box", box)["enrolled"] == 1
    desk.json("add", "--id", "blue", "--image", desk.picture("blue.jpg", person(160, BLUE)), "--whole")
    assert desk.run("add", "--id", "p9", "--image", path, "--box", box)[2].count("looks like") == 1


def test_accepted_pictures_stay_when_others_are_refused(desk: Desk) -> None:
    good, tiny = desk.picture("good.jpg", person(160)), desk.picture("tiny.jpg", person(20))
    code, out, err = desk.run("add", "--id", "p1", "--whole", "--image", good, tiny)
    assert code == 3
    assert out == "p1: 1 picture enrolled, 1 refused\n"
    assert f"{tiny}: too_small: " in err
    assert len(desk.json("show", "p1")["enrolments"]) == 1


def test_a_lookalike_is_named(desk: Desk) -> None:
    enrol(desk, "p1", RED)
    path = desk.picture("twin.jpg", person(150, RED))
    (warning,) = desk.json("add", "--id", "p2", "--image", path, "--whole")["warnings"]
    assert "looks like p1" in warning


def test_list_show_and_the_facts(desk: Desk) -> None:
    options = ("--name", "Zoé [red]", "--purpose", "lost child", "--valid-until", "2999-12-31")
    enrol(desk, "p2", RED, GREEN, options=options)
    enrol(desk, "p1", BLUE)
    listed = desk.json("list")
    assert listed["version"] == 2
    assert [(row["id"], row["name"], row["enrolments"]) for row in listed["identities"]] == [
        ("p1", None, 1), ("p2", "Zoé [red]", 2),
    ]  # fmt: skip
    shown = desk.json("show", "p2")
    assert {key: shown[key] for key in ("id", "name", "purpose", "valid_until", "valid")} == {
        "id": "p2", "name": "Zoé [red]", "purpose": "lost child", "valid_until": "2999-12-31T23:59:59Z", "valid": True,
    }  # fmt: skip
    assert [each["id"] for each in shown["enrolments"]] == [1, 2]
    assert {"kind", "sha256", "size_bytes", "added_at"} <= set(shown["enrolments"][0])
    _, table, _ = desk.run("list")
    assert "Zoé [red]" in table
    assert "2999-12-31T23:59:59Z" in table
    _, page, _ = desk.run("show", "p2")
    assert "name: Zoé [red]" in page


def test_an_empty_list(desk: Desk) -> None:
    assert desk.json("list") == {"version": 0, "identities": []}
    assert desk.run("list")[1] == "nobody is enrolled\n"


@pytest.mark.parametrize("command", ["show", "remove"])
def test_an_unknown_id_names_the_nearest(desk: Desk, command: str) -> None:
    code, _, err = desk.run(command, "p3")
    assert code == 3
    assert "nobody is enrolled as 'p3'" in err
    code, _, err = desk.run(command, "\udcff")
    assert (code, "nobody is enrolled as '\\udcff'" in err) == (3, True)
    enrol(desk, "visitor-17", RED)
    code, _, err = desk.run(command, "vistor-17")
    assert code == 3
    assert "visitor-17" in err


def test_remove(desk: Desk) -> None:
    enrol(desk, "p1", RED, GREEN)
    enrol(desk, "p2", BLUE)
    assert desk.json("remove", "p1") == {"id": "p1", "removed": 2, "version": 3}
    assert [row["id"] for row in desk.json("list")["identities"]] == ["p2"]


class TestValidUntil:
    def test_a_time_without_zone_is_utc_with_a_warning(self, desk: Desk) -> None:
        path = desk.picture("a.jpg", person(160))
        answer = desk.json(
            "add", "--id", "p1", "--whole", "--image", path, "--valid-until", "2999-01-01T12:00"
        )
        assert answer["warnings"] == ["'2999-01-01T12:00' has no time zone: taken as 2999-01-01T12:00:00Z"]

    def test_a_time_that_is_over_warns(self, desk: Desk) -> None:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        path = desk.picture("a.jpg", person(160))
        answer = desk.json("add", "--id", "p1", "--whole", "--image", path, "--valid-until", yesterday)
        assert "is over" in answer["warnings"][0]
        assert not desk.json("show", "p1")["valid"]
        assert "(over)" in desk.run("list")[1]

    def test_it_can_be_changed_later(self, desk: Desk) -> None:
        enrol(desk, "p1", RED, options=("--valid-until", "2998-01-01", "--name", "Ann"))
        enrol(desk, "p1", GREEN, options=("--valid-until", "2999-01-01T01:00+01:00"))
        shown = desk.json("show", "p1")
        assert (shown["name"], shown["valid_until"]) == ("Ann", "2999-01-01T00:00:00Z")


class TestElsewhere:
    def test_export_and_import(self, desk: Desk, tmp_path: Path) -> None:
        enrol(desk, "p1", RED, GREEN, options=("--name", "Ann"))
        before = desk.json("show", "p1")
        archive = str(tmp_path / "w.zip")
        assert desk.json("export", archive) == {"file": archive, "identities": 1, "enrolments": 2}
        desk.json("remove", "p1")
        assert desk.json("import", archive) == {"file": archive, "identities": 1, "enrolments": 2}
        after = desk.json("show", "p1")
        for document in (before, after):
            for enrolment in document["enrolments"]:
                del enrolment["id"]
        assert after == before

    def test_a_conflict_needs_replace(self, desk: Desk, tmp_path: Path) -> None:
        archive = str(tmp_path / "w.zip")
        enrol(desk, "p1", RED)
        desk.json("export", archive)
        enrol(desk, "p1", GREEN)
        code, _, err = desk.run("import", archive)
        assert code == 3
        assert "--replace" in err
        desk.json("import", archive, "--replace")
        assert len(desk.json("show", "p1")["enrolments"]) == 1

    def test_a_damaged_archive(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "w.zip").write_text("hello")
        code, _, err = desk.run("import", str(tmp_path / "w.zip"))
        assert code == 3
        assert "not a zip file" in err

    def test_backup_and_restore(self, desk: Desk, tmp_path: Path) -> None:
        enrol(desk, "p1", RED)
        copy = str(tmp_path / "copy.db")
        assert desk.json("backup", copy) == {"file": copy, "version": 1}
        desk.json("remove", "p1")
        assert desk.json("restore", copy) == {"file": copy, "version": 3}
        assert desk.json("list")["identities"][0]["id"] == "p1"
        code, _, err = desk.run("restore", str(tmp_path / "missing.db"))
        assert code == 3
        assert "no file" in err


@pytest.mark.parametrize("option", ["--name", "--purpose"])
@pytest.mark.parametrize("words", ["two\nlines", "\u202eanna", "a\u2028b", "\x1b[31m", "\udcff", "x" * 501])
def test_what_cannot_be_shown_is_no_name_and_no_purpose(desk: Desk, option: str, words: str) -> None:
    photo = desk.picture("p.jpg", person(160))
    code, _, err = desk.run("add", "--id", "p1", "--whole", "--image", photo, option, words)
    assert code == 2
    assert f"{option} {words[:60]!r} cannot be shown as it is. write one line of at most 500 printable" in err
    assert desk.json("list")["identities"] == []


def test_a_name_from_before_names_were_checked_is_shown_safely_and_goes_on_working(desk: Desk) -> None:
    enrol(desk, "p1", RED)
    with sqlite3.connect(desk.folder / "data" / "watchlist.db") as database:
        database.execute("UPDATE identity SET name = 'an\u202ena', purpose = ?", ("x" * 600,))
    database.close()
    shown = desk.json("show", "p1")
    assert (shown["name"], len(shown["purpose"])) == ("an na", 500)
    desk.json("export", str(desk.folder / "w.zip"))
    desk.json("remove", "p1")
    desk.json("import", str(desk.folder / "w.zip"))
    assert desk.json("show", "p1")["name"] == "an na"
