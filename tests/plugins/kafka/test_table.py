"""The watchlist on a real topic that loses what it held: nobody leaves by that, and who was removed still does."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from pipeline.registry import build
from pipeline.settings import choose
from pipeline.watchlist.mirror import WatchlistMirror
from pipeline.watchlist.records import Identity
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import publish, publish_all
from tests.pipeline.watchlist.office import NOW, picture
from tests.servers.kafka import KafkaBroker
from tests.support.enrolment_desk import CODEC

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),  # left to the collector by kafka-python
]
PATIENCE_S = 25.0


class Site:
    """An office and a member with stores of their own, and a topic between them."""

    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self.broker, self.folder, self.topic = broker, folder, f"{folder.name}-watchlist"
        self.office = WatchlistStore.in_folder(folder / "office")
        self._buses: list[Any] = []

    def bus(self) -> Any:
        names = {key: f"{self.folder.name}-{key}" for key in ("topic", "dead_letters", "watchlist", "group")}
        choice = choose("kafka", bootstrap=self.broker.bootstrap, **names)
        self._buses.append(build("bus", choice, Path(), "bus"))
        return self._buses[-1]

    def enrol(self, name: str) -> None:
        self.office.add(Identity(name, None, None, None, NOW), [picture()])
        publish(self.office, self.bus().watchlist, CODEC, [name])

    def lose_the_topic(self) -> None:
        with KafkaAdminClient(bootstrap_servers=self.broker.bootstrap) as admin:
            admin.delete_topics([self.topic])
            until_s = time.monotonic() + PATIENCE_S
            while self.topic in admin.list_topics():
                assert time.monotonic() < until_s
                time.sleep(0.1)

    def member(self) -> tuple[list[str], str]:
        """Who is in its store, and what it remarks, after a start."""
        with WatchlistMirror(self.bus(), WatchlistStore.in_folder(self.folder / "gpu")) as mirror:
            mirror.follow()
            said = " / ".join(mirror.remarks)
        with WatchlistStore.in_folder(self.folder / "gpu") as store:
            return [identity.id for identity in store.identities()], said

    def close(self) -> None:
        self.office.close()
        for bus in self._buses:
            bus.close()
        gc.collect()


@pytest.fixture
def site(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka_broker, tmp_path)
    yield made
    made.close()


def test_a_topic_that_is_lost_removes_nobody_and_is_written_again_on_request(site: Site) -> None:
    site.enrol("anna")
    site.enrol("ben")
    assert site.member() == (["anna", "ben"], "")
    site.lose_the_topic()
    ids, said = site.member()
    assert ids == ["anna", "ben"]
    assert (
        "nobody has published a watchlist; the 2 identities here count: musewatch watchlist publish" in said
    )
    assert publish_all(site.office, site.bus().watchlist, CODEC) == 2
    assert site.member() == (["anna", "ben"], "")


def test_who_was_removed_leaves_a_member_that_was_away_for_longer_than_the_broker_remembers(
    site: Site,
) -> None:
    site.enrol("anna")
    site.enrol("ben")
    assert site.member()[0] == ["anna", "ben"]
    site.office.remove("anna")
    publish(site.office, site.bus().watchlist, CODEC, ["anna"])
    site.lose_the_topic()  # with the empty row; what else it held comes back
    publish(site.office, site.bus().watchlist, CODEC, ["ben"])
    assert site.member() == (["ben"], "")


def test_rows_that_a_topic_without_compaction_has_let_go_are_no_removals(site: Site) -> None:
    shape = {"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": "delete"}}
    with KafkaAdminClient(bootstrap_servers=site.broker.bootstrap) as admin:
        admin.create_topics({site.topic: shape})
        site.enrol("anna")
        site.enrol("ben")
        assert site.member()[0] == ["anna", "ben"]
        topic_is_compacted_now = site.bus().watchlist.faults(mend=False) == []
        assert topic_is_compacted_now, "the start has mended it"
    site.lose_the_topic()
    site.enrol("cleo")
    ids, said = site.member()
    assert ids == ["anna", "ben", "cleo"]
    assert "2 identities are (anna, ben) in the shared watchlist without a row" in said
