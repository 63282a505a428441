"""Parts of the identify stage, in tests that are about something else: real ones behind the door."""

from pathlib import Path

from pipeline.identify.show import Evidence
from pipeline.plugged import PluggedIndex, PluggedMasker
from pipeline.protocols import Codec
from pipeline.store.pictures import EvidenceStore
from pipeline.testing import FakeCodec
from plugins.index_exact import ExactIndex
from plugins.masker_box import BoxMasker


def evidence(folder: Path, masker: object | None = None, codec: Codec | None = None) -> Evidence:
    """Keeps pictures under a folder.

    Args:
        folder: Gets `evidence/`.
        masker: Cuts people out; None = the box.
        codec: Encodes; None = a fake one.
    """
    store = EvidenceStore(folder / "evidence", "http://evidence", max_mb=10, max_age_days=1)
    cuts_out = PluggedMasker.of(masker or BoxMasker(BoxMasker.Config()))
    return Evidence(store, codec or FakeCodec(), cuts_out, lambda: 0.0)


def exact() -> PluggedIndex:
    """The exact index."""
    return PluggedIndex.of(ExactIndex(ExactIndex.Config()))
