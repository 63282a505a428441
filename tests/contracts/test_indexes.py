"""Our indexes against the suite of their role."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import FakeIndex, contracts


class TestIndexes(contracts.IndexContract):
    @pytest.fixture(params=known("index"))
    def index(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        return build("index", choose(request.param), tmp_path, "matcher.index")


class TestFakeIndex(contracts.IndexContract):
    @pytest.fixture
    def index(self) -> FakeIndex:
        return FakeIndex()
