"""What happens to the members of a group, and to the topics between two machines."""

import base64
import json
import random
import time
from typing import Any

import cv2
import numpy as np

from tests.faults.faults import Dice, fault
from tests.faults.machine_faults import put
from tests.faults.site import Site
from tests.faults.two_machines import TwoMachines


def _two(site: Site) -> TwoMachines:
    assert isinstance(site, TwoMachines)
    return site


@fault("member")
def member_killed(site: Site, dice: Dice) -> None:
    """Until it is back the other one has all streams."""
    site.wait(site.new_hits(), "hits")
    time.sleep(dice.rng.uniform(0, 1.5))
    member = _two(site).one_of(dice.rng)
    member.kill()
    time.sleep(dice.seconds(0, 12))
    member.start()


@fault("member")
def member_stopped(site: Site, dice: Dice) -> None:
    member = _two(site).one_of(dice.rng)
    assert member.stop() == 0
    site.wait(site.new_hits(), "the other member makes hits")
    time.sleep(dice.seconds(0, 4))
    member.start()


@fault("member")
def both_members_killed(site: Site, dice: Dice) -> None:
    site.wait(site.new_hits(), "hits")
    for member in _two(site).members:
        member.kill()
    time.sleep(dice.seconds(1, 6))
    for member in _two(site).members:
        member.start()


@fault("member")
def edge_killed(site: Site, dice: Dice) -> None:
    site.wait(site.new_hits(), "hits")
    time.sleep(dice.rng.uniform(0, 1.5))
    site.kill()
    site.start()


@fault("member")
def broker_killed_between_two_machines(site: Site, dice: Dice) -> None:
    site.broker.kill()
    time.sleep(dice.seconds(2, 8))
    site.broker.start()


@fault("member")
def poison_on_the_tracklets_topic(site: Site, dice: Dice) -> None:
    values = [b"\xff\xfe not json", b"[1, 2]", b"", dice.rng.randbytes(5_000), b'{"id": 7}']
    put(site, _two(site).names["topic"], values)
    site.wait(lambda: _two(site).dead_letters.read() is not None and _two(site).dead_letters.unreadable >= len(values),
              "dead letters")  # fmt: skip


@fault("member")
def poison_on_the_watchlist_topic(site: Site, dice: Dice) -> None:
    put(site, _two(site).names["watchlist"], [b"\xff not json", b"{}", dice.rng.randbytes(100)])
    time.sleep(dice.seconds(1, 3))


@fault("member")
def poison_on_every_topic(site: Site, dice: Dice) -> None:
    """Of every kind on all four; both members stay, and what they identify goes on behind it."""
    two = _two(site)
    pids = [member.pid for member in two.members]
    names = [*(two.names[name] for name in ("topic", "dead_letters", "watchlist")), site.topic_name]
    before = len(two.tracklets.read())
    for name in names:
        put(site, name, _poison(dice.rng))
    changed = _changed_tracklets(two.tracklets.messages[-1].body)
    put(site, two.names["topic"], changed, key=b"door")
    other = {"schema": "musewatch.contents/1", "watchlist": "f" * 32, "version": 2**52, "identities": []}
    put(site, two.names["watchlist"], [json.dumps(other).encode()], key=b".contents")
    put(site, two.names["watchlist"], [_row(version=10**30), _row(name="\u202e"), _row(id="eve")])
    site.wait(lambda: len(two.tracklets.read()) > before + 8, "tracklets go on")
    site.wait(site.new_hits(), "hits behind the poison")
    assert [member.pid for member in two.members] == pids
    assert all(member.alive for member in two.members)


def _poison(rng: random.Random) -> list[bytes]:
    """What is no message of anybody's."""
    values = [b"\xff\xfe not json", b"", b"null", b"[1, 2]", b'"text"', b"[" * 100_000, rng.randbytes(5_000)]
    values += [b'{"id": 7}', b'{"data": ' + b"9" * 5_000 + b"}", b'{"data": NaN, "id": "\\ud800"}']
    rng.shuffle(values)
    return values


def _changed_tracklets(value: bytes) -> list[bytes]:
    """A good tracklet of a track of its own, with one thing wrong at a time."""
    wrong: list[dict[str, Any]] = [
        {"decided_pts_s": 1e300},
        {"track_id": 10**30},
        {"embedding": "AAAA"},
        {"crops": []},
        {"first_pts_s": "NaN"},
        {"epoch": "e" * 100_000},
    ]
    document = json.loads(value)
    wrong.append({"embedding": document["data"]["embedding"] | {"engine": "sha256:" + "0" * 64}})
    wrong.append({"crops": [document["data"]["crops"][0] | {"jpeg": _picture_bomb()}] * 8})
    return [
        json.dumps(
            document | {"id": f"wrong-{i}", "data": document["data"] | {"track_id": 2**40 + i} | each}
        ).encode()
        for i, each in enumerate(wrong)
    ]


def _picture_bomb() -> str:
    """Some kilobytes that are 16 megapixels once they are decoded."""
    _, png = cv2.imencode(".png", np.zeros((4000, 4000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return base64.b64encode(png.tobytes()).decode()


def _row(**wrong: Any) -> bytes:
    row: dict[str, Any] = {"schema": "musewatch.identity/1", "version": 1, "id": "stranger", "name": None}
    row |= {
        "purpose": None,
        "valid_until": None,
        "created_at": "2026-01-01T00:00:00Z",
        "pictures": [],
        "texts": [],
    }
    return json.dumps(row | wrong).encode()
