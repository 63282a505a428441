"""docs/licences.md against what is pinned, and against what the installed distributions say."""

import ast
import re
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from tests.tools.licences import PAGE, data_sets, licence_class, pinned, public_engines, stated, with_block
from tests.tree import ROOT, source_files

AGPL = {"boxmot", "ultralytics", "ultralytics-platform", "ultralytics-thop"}


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    """Licence, class and origin by package, as the page has them."""
    lines = re.findall(
        r"^\| ([a-z0-9-]+) \| (.+) \| (.*) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {
        name: [licence, class_, origin]
        for name, licence, class_, origin in lines
        if name not in {"package", "weights", "engine"}
    }


def test_the_page_lists_what_is_pinned(rows: dict[str, list[str]]) -> None:
    core, every = set(pinned("core")), set(pinned("core")) | set(pinned("test"))
    rows.pop("---", None)
    assert set(rows) == every, "run make licences"
    assert {name for name, row in rows.items() if row[2] == "core"} == core
    assert set(pinned("test-core")) <= every


def test_it_says_what_they_say(rows: dict[str, list[str]]) -> None:
    checked = 0
    versions = pinned("core") | pinned("test")
    for name, (licence, class_, _) in rows.items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if found.version != versions[name]:  # a Python's own setuptools
            continue
        checked += 1
        assert licence == stated(found), f"{name}: run make licences"
        assert class_ == licence_class(licence), name
        assert class_, f"{name}: nobody knows what {licence!r} asks"
    assert checked > 30


def test_it_has_the_terms_of_every_data_set() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_block(page, "data sets", data_sets()) == page, "run make licences"


def test_it_has_every_public_engine() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_block(page, "engines", public_engines()) == page, "run make licences"


def test_agpl_is_behind_its_extra(rows: dict[str, list[str]]) -> None:
    assert {name for name, row in rows.items() if row[1] == "AGPL"} == AGPL
    for name in ("core", "test-core", "gpu"):
        assert AGPL.isdisjoint(pinned(name))
    assert not any(row[1] in {"AGPL", "GPL", ""} for row in rows.values() if row[2] == "core")


def test_agpl_is_imported_by_two_plugins_and_one_trainer_alone() -> None:
    importers = set()
    for path in source_files():
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {name.partition(".")[0] for name in names} & {"boxmot", "ultralytics"}:
                importers.add(str(path.relative_to(ROOT)))
    assert importers <= {
        "plugins/detector_ultralytics.py",
        "plugins/trackers/boxmot.py",
        "trainers/detector_ultralytics.py",
    }


@pytest.mark.parametrize(
    ("wheel", "library"),
    [("av", "libx264"), ("av", "libx265"), ("av", "libgnutls"), ("opencv-python-headless", "libavcodec")],
)
def test_the_binaries_that_need_a_notice_are_there(wheel: str, library: str) -> None:
    record = distribution(wheel).read_text("RECORD") or ""
    assert f"/{library}-" in record, "docs/licences.md names a binary that has gone"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AGPL-3.0", "AGPL"),
        ("GPL-2.0-or-later", "GPL"),
        ("LGPL-2.1", "weak copyleft"),
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("BSD License", "permissive"),
        ("Beerware", ""),
    ],
)
def test_classes(text: str, expected: str) -> None:
    assert licence_class(text) == expected
