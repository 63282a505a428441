"""Our codecs against the suite of their role."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import contracts


class TestCodecs(contracts.CodecContract):
    @pytest.fixture(params=known("codec"))
    def codec(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        return build("codec", choose(request.param), tmp_path, "codec")
