"""What every projection promises: pure, and whole documents."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.deliver.forms import Form
from pipeline.testing.contracts.wanted import wanted


class ProjectionContract:
    """Give `projection`, and `events`: of hits for which it has words."""

    @pytest.fixture
    def projection(self) -> Any:
        """The one under test."""
        wanted("projection")

    @pytest.fixture
    def events(self) -> Sequence[dict[str, Any]]:
        """Events of hits."""
        wanted("events, of hits for which the projection has words")

    def test_every_event_becomes_bytes(self, projection: Any, events: Sequence[dict[str, Any]]) -> None:
        """With a media type."""
        form = Form(projection, "it")
        documents = [form.document(event) for event in events]
        assert all(
            document is not None and document.encoded and document.content_type for document in documents
        )

    def test_it_is_pure(self, projection: Any, events: Sequence[dict[str, Any]]) -> None:
        """The same event, the same document, whatever came before; and the event stays as it was."""
        form, before = Form(projection, "it"), copy.deepcopy(events)
        first = [form.document(event) for event in events]
        again = [form.document(event) for event in reversed(events)]
        assert again[::-1] == first
        assert [document and document.encoded for document in again[::-1]] == [
            document and document.encoded for document in first
        ]
        assert events == before
