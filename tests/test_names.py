"""Our import names are ours alone, and no two installed wheels own one file."""

from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from tests.tree import PACKAGES, ROOT


def owners_of_files(installed: Iterable[Distribution]) -> dict[str, set[str]]:
    """The distributions that say a file is their own, by file."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for distribution in installed:
        name = distribution.name
        for line in (distribution.read_text("RECORD") or "").splitlines():
            owners[line.rsplit(",", 2)[0]].add(name)
    return owners


def shared(owners: dict[str, set[str]]) -> dict[str, set[str]]:
    """Those files that have several owners."""
    return {file: names for file, names in owners.items() if len(names) > 1}


@pytest.fixture(scope="module")
def owners() -> dict[str, set[str]]:
    """Every file of the environment."""
    return owners_of_files(distributions())


@pytest.mark.parametrize("name", PACKAGES)
def test_nobody_else_brings_a_package_of_our_name(name: str, owners: dict[str, set[str]]) -> None:
    strangers = {owner for file, names in owners.items() if file.startswith(f"{name}/") for owner in names}
    assert strangers <= {"musewatch"}
    assert Path(str(import_module(name).__file__)).parent == ROOT / name


def test_no_two_wheels_own_one_file(owners: dict[str, set[str]]) -> None:
    assert shared(owners) == {}


@pytest.mark.parametrize("folder", ["cv2", "onnxruntime"])
def test_one_wheel_owns(folder: str, owners: dict[str, set[str]]) -> None:
    found = {owner for file, names in owners.items() if file.startswith(f"{folder}/") for owner in names}
    assert len(found) == 1, "make clean, remove .venv, and install again"


def test_a_second_owner_is_seen(tmp_path: Path) -> None:
    for name in ("opencv_python", "opencv_python_headless"):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        (info / "RECORD").write_text("cv2/__init__.py,sha256=abc,12\n")
    found = shared(owners_of_files(distributions(path=[str(tmp_path)])))
    assert found == {"cv2/__init__.py": {"opencv_python", "opencv_python_headless"}}
