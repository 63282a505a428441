"""What every plugin promises, one suite of pytest tests a role.

A plugin's own tests inherit the suite of its role and give the fixtures that its docstring names:

    from pipeline.testing import contracts

    class TestLoudSink(contracts.SinkContract):
        @pytest.fixture
        def sink(self):
            return LoudSink(LoudSink.Config())
"""

import pytest

pytest.register_assert_rewrite(  # so that a failure shows the values, as in any test
    *(
        f"{__name__}.{name}"
        for name in ("buses", "delivery", "forms", "identity", "people", "pictures", "sources", "stores")
    )
)

from pipeline.testing.contracts.buses import BusContract, RemoteBusContract, TableContract  # noqa: E402
from pipeline.testing.contracts.delivery import (  # noqa: E402
    DeadLettersContract,
    ReadableContract,
    SinkContract,
    SinkTroubleContract,
)
from pipeline.testing.contracts.forms import ProjectionContract  # noqa: E402
from pipeline.testing.contracts.identity import IndexContract, VerifierContract  # noqa: E402
from pipeline.testing.contracts.people import (  # noqa: E402
    DetectorContract,
    EmbedderContract,
    TextEmbedderContract,
    TrackerContract,
)
from pipeline.testing.contracts.pictures import CodecContract, MaskerContract  # noqa: E402
from pipeline.testing.contracts.sources import SourceContract  # noqa: E402
from pipeline.testing.contracts.stores import ArchiveContract, HolderContract, RosterContract  # noqa: E402

__all__ = [
    "ArchiveContract",
    "BusContract",
    "CodecContract",
    "DeadLettersContract",
    "DetectorContract",
    "EmbedderContract",
    "HolderContract",
    "IndexContract",
    "MaskerContract",
    "ProjectionContract",
    "ReadableContract",
    "RemoteBusContract",
    "RosterContract",
    "SinkContract",
    "SinkTroubleContract",
    "SourceContract",
    "TableContract",
    "TextEmbedderContract",
    "TrackerContract",
    "VerifierContract",
]  # fmt: skip
