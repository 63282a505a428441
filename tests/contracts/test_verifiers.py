"""Our verifiers against the suite of their role."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import FakeVerifier, contracts
from tests.plugins.test_verifier_openai import MANIFEST
from tests.servers.openai import Stub, stub
from tests.support.enrolment_desk import CODEC
from tests.support.tiny_lmm import tiny_verifier

NEEDS_TORCH = {"lmm"}


def settings_of(name: str, folder: Path, server: Stub) -> dict[str, Any]:
    if name == "lmm":
        return {"engine": str(tiny_verifier(folder)), "device": "cpu"}
    if name == "openai":
        (folder / "verifier.yaml").write_text(yaml.safe_dump(MANIFEST))
        return {"engine": "verifier.yaml", "url": server.url, "model": "m"}
    return {}


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub() as running:
        yield running


class TestVerifiers(contracts.VerifierContract):
    @pytest.fixture(
        params=[
            pytest.param(name, marks=pytest.mark.torch if name in NEEDS_TORCH else ())
            for name in known("verifier")
        ],
    )
    def verifier(self, request: pytest.FixtureRequest, server: Stub, tmp_path: Path) -> Any:
        choice = choose(request.param, **settings_of(request.param, tmp_path, server))
        return build("verifier", choice, tmp_path, "verifier")

    @pytest.fixture
    def encode(self) -> Any:
        return CODEC.encode


class TestFakeVerifier(contracts.VerifierContract):
    @pytest.fixture
    def verifier(self) -> FakeVerifier:
        return FakeVerifier("p2", "p4")
