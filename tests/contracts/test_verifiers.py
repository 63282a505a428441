"""Our verifiers against the suite of their role."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import FakeVerifier, contracts
from tests.support.enrolment_desk import CODEC


class TestVerifiers(contracts.VerifierContract):
    @pytest.fixture(params=known("verifier"))
    def verifier(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        return build("verifier", choose(request.param), tmp_path, "verifier")

    @pytest.fixture
    def encode(self) -> Any:
        return CODEC.encode


class TestFakeVerifier(contracts.VerifierContract):
    @pytest.fixture
    def verifier(self) -> FakeVerifier:
        return FakeVerifier("p2", "p4")
