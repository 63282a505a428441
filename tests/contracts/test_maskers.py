"""Our maskers against the suite of their role."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import contracts
from tests.support.enrolment_desk import CODEC


class TestMaskers(contracts.MaskerContract):
    @pytest.fixture(params=known("masker"))
    def masker(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        return build("masker", choose(request.param), tmp_path, "masker")

    @pytest.fixture
    def encode(self) -> Any:
        return CODEC.encode
