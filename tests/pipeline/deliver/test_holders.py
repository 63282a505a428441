"""What hits keep of people is told and erased, beside a run, and nothing of others with it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.deliver.holders import EvidenceHolder, OutboxHolder
from pipeline.deliver.outbox import Outbox
from pipeline.errors import OutsideError
from pipeline.store.pictures import EvidenceStore
from pipeline.testing import contracts
from tests.tools.byte_search import traces


class Site:
    """A data folder whose outbox is in use, with hits of some people and their pictures."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.outbox = Outbox(data_dir / "outbox.db", ["slow"])
        self.evidence = EvidenceStore(data_dir / "evidence", None, max_mb=1, max_age_days=30)

    def hit(self, who: str, number: int, state: str = "opened") -> None:
        pictures = {}
        for name in ("crop", "frame"):
            kept = self.evidence.put(f"{name} of {who} {number}".encode(), 0.0)
            assert kept is not None
            pictures[name] = {"uri": kept.uri, "sha256": kept.sha256}
        data = {
            "hit_id": f"{who}-{number}",
            "state": state,
            "identity": {"id": who, "name": f"Name of {who}"},
        }
        self.outbox.append(
            [{"id": f"{who}-{number}-{state}", "subject": who, "data": data | {"best": pictures}}]
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with closing(made.outbox):
        for who in ("anna", "ben"):
            made.hit(who, 1)
            made.hit(who, 1, "closed")
            made.hit(who, 2)
        yield made


class TestOutbox(contracts.HolderContract):
    @pytest.fixture
    def holder(self, site: Site) -> OutboxHolder:
        return OutboxHolder(site.data_dir / "outbox.db")


class TestEvidence(contracts.HolderContract):
    @pytest.fixture
    def holder(self, site: Site) -> EvidenceHolder:
        return EvidenceHolder(site.data_dir, site.data_dir / "outbox.db")


def test_each_trace_is_named(site: Site) -> None:
    path = site.data_dir / "outbox.db"
    assert OutboxHolder(path).traces("anna") == [
        "outbox.db: event anna-1-opened",
        "outbox.db: event anna-1-closed",
        "outbox.db: event anna-2-opened",
        "outbox.db: open hit anna-2",
    ]
    assert len(EvidenceHolder(site.data_dir, path).traces("anna")) == 4


def test_of_whom_both_have_forgotten_no_byte_is_left(site: Site) -> None:
    path = site.data_dir / "outbox.db"
    EvidenceHolder(site.data_dir, path).forget("anna")
    OutboxHolder(path).forget("anna")
    for word in ("anna", "Name of anna"):
        assert traces(site.data_dir, {word: word.encode()}) == {word: []}
    waiting: list[Any] = [each.event["id"] for each in site.outbox.take("slow", 9)]
    assert waiting == ["ben-1-opened", "ben-1-closed", "ben-2-opened"], "the run goes on"


def test_pictures_that_have_aged_are_nobody_s_any_more(site: Site) -> None:
    holder = EvidenceHolder(site.data_dir, site.data_dir / "outbox.db")
    of_ben = holder.traces("ben")
    for picture in holder._pictures("anna"):
        picture.unlink()
    site.outbox.close()
    Outbox(site.data_dir / "outbox.db", ["slow"]).close()
    assert holder.traces("anna") == []
    assert holder._pictures("anna") == []
    assert holder.traces("ben") == of_ben != []


def test_a_picture_that_cannot_be_deleted_is_named_and_stays_in_the_books(site: Site) -> None:
    holder = EvidenceHolder(site.data_dir, site.data_dir / "outbox.db")
    picture = holder._pictures("anna")[0]
    picture.unlink()
    picture.mkdir()
    with pytest.raises(OutsideError, match=rf"{picture.name} cannot be deleted: "):
        holder.forget("anna")
    assert holder.traces("anna") == [f"evidence: {path.name}" for path in holder._pictures("anna")]


def test_without_an_outbox_nothing_is_held_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for holder in (OutboxHolder(path), EvidenceHolder(tmp_path, path)):
        holder.forget("anna")
        assert holder.traces("anna") == []
    assert list(tmp_path.iterdir()) == []
