"""The lock files: hashes everywhere, addresses nowhere, one owner of a folder; each set holds the smaller one."""

import re
import tomllib

import pytest

from tests.tools.licences import pinned
from tests.tree import ROOT

FOLDER = ROOT / "requirements"
LOCKS = ["core", "test-core", "test", "mllm", "gpu", "uv"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_file_an_address(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|\s@\s", text) is None
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pinned(name))
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("name", ["core", "test-core", "test", "mllm", "gpu"])
def test_one_wheel_of_each_pair(name: str) -> None:
    names = set(pinned(name))
    assert "opencv-python-headless" in names
    assert names.isdisjoint({"opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"})
    assert len(names & {"onnxruntime", "onnxruntime-gpu"}) == 1


@pytest.mark.parametrize(
    ("smaller", "larger"), [("core", "test-core"), ("test-core", "test"), ("uv", "test")]
)
def test_a_set_holds_the_smaller_one(smaller: str, larger: str) -> None:
    assert pinned(smaller).items() <= pinned(larger).items()


def test_the_core_has_no_torch() -> None:
    assert set(pinned("core")).isdisjoint(
        {"torch", "torchvision", "transformers", "matplotlib", "numba", "polars"}
    )
    assert "torch" not in pinned("test-core")


LOCK_OF = {
    "lab": "test",
    "mqtt": "test",
    "train": "test",
    "openvino": "test",
    "agpl": "test",
    "dev": "test",
    "mllm": "mllm",
    "gpu": "gpu",
}


def test_every_extra_is_locked_beside_the_core() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert extras.keys() == LOCK_OF.keys()
    for extra, lines in extras.items():
        wanted = {re.split(r"[^\w.-]", line)[0] for line in lines}
        assert wanted <= pinned(LOCK_OF[extra]).keys(), extra
    script = (FOLDER / "install").read_text(encoding="utf-8")
    assert all(f"requirements/{name}.txt" in script for name in ("test", "mllm", "headless", "gpu-override"))
