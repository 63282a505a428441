import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.registry import build
from pipeline.settings import choose
from tests.servers.clips import write_clip
from trainers.evaluate.report.content import HitDetail, MissedDetail, Person, ReportContent
from trainers.evaluate.report.gather import clear_to_see, hit_details, missed_details, stills, tallest
from trainers.evaluate.report.page import render, write_report
from trainers.metrics.alerts import Appearance, HitRevision, PersonLabels, StreamTruth, score_alerts

BOX = (10.0, 10.0, 40.0, 90.0)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a test asks for."""

    def __init__(self, html):
        super().__init__()
        self.open, self.sources, self.classes, self.words = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.sources += [value for name, value in attrs if name in {"src", "href"}]
        self.classes += (attributes.get("class") or "").split()
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def labels(box=BOX, start=0.0, end=2.0):
    times = np.arange(start, end, 0.1)
    return PersonLabels(times, np.array([box] * len(times), np.float32))


@pytest.fixture
def codec():
    return build("codec", choose("opencv"), None, "codec")


@pytest.fixture
def truth():
    stays = (
        Appearance("hall", "p1", 0.0, 2.0),
        Appearance("hall", "p2", 0.5, 1.5),
        Appearance("hall", "p9", 0.0, 1.9),
    )
    boxes = {"p1": labels(), "p2": labels((60, 10, 90, 60), 0.5, 1.5), "p9": labels((110, 0, 150, 96))}
    return (StreamTruth("hall", 2.0, stays, boxes),)


@pytest.fixture
def scores(truth):
    hits = [
        HitRevision("a", 1, "hall", "p1", 0.2, 1.8, 0.4, 1.0, BOX),
        HitRevision("b", 1, "hall", "p1", 0.2, 1.8, 0.6, 1.0, (110, 0, 150, 96)),
    ]
    return score_alerts(hits, truth, {"p1", "p2"})


@pytest.fixture
def clips(tmp_path):
    return {"hall": write_clip(tmp_path / "hall.mp4", 20)}


@pytest.fixture
def content(truth, scores, clips, codec, tmp_path):
    photo = codec.encode(np.full((80, 30, 3), 90, np.uint8))
    return ReportContent(
        title="Two people <looked for>",
        subtitle="one stream",
        seconds=12.4,
        scores=scores,
        truth=truth,
        people=(Person("p1", "Ann & co", photo), Person("p2", "Bo", None)),
        hits={"a": HitDetail(photo, 0.2, 0.4, None, "p1"), "b": HitDetail(None, 0.3, 0.4, 0.1, "p9")},
        missed=missed_details(scores, truth, clips, {truth[0].appearances[1]: "too far away"}),
        stills=stills(truth, clips, ["p1", "p2"]),
        notice=("Know this", "It is a test."),
        facts=(("detector", "hog"),),
        config="version: 1 # <none>",
    )


def test_page_is_whole_and_needs_nothing_beside_it(content, tmp_path):
    write_report(tmp_path / "report.html", content)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert len(page.sources) == 6, "two enrolled, two of a hit, one of a miss, one still"
    for source in page.sources:
        head, data = source.split(",", 1)
        assert head == "data:image/jpeg;base64"
        assert base64.b64decode(data)[:2] == b"\xff\xd8"
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)


def test_figures_are_those_of_the_scores(content):
    text = Page(render(content)).text
    for expected in (
        "1 of 2 hits right",
        "1 of 2 appearances found",
        "1 wrong hits",
        "0.4 s to the first hit",
        "12 s",
    ):
        assert expected in text
    assert "precision 50 %" in text
    assert "recall 50 %" in text
    assert "43200 per camera-day" in text, "one in two seconds"


def test_every_hit_stay_and_miss_is_on_the_page(content):
    page = Page(render(content))
    assert page.classes.count("dot") - 2 == 2, "two more are in the legend"
    assert page.classes.count("stay") - 2 == 3, "two more are in the legend"
    assert page.classes.count("missed") - 1 == 1
    assert "wrong: this is p9, not enrolled" in page.text
    assert "right, IoU 1.00" in page.text
    assert "too far away" in page.text


def test_text_is_escaped(content):
    html = render(content)
    assert "Ann &amp; co" in html
    assert "Two people &lt;looked for&gt;" in html
    assert "&lt;none&gt;" in html


def test_nothing_found_and_nobody_missed_are_said():
    empty = score_alerts([], [], set())
    html = render(ReportContent("t", "s", 1.0, empty, (), (), {}, {}, {}))
    assert "No hit was reported." in html
    assert "Nobody: every appearance" in html


def test_missed_are_shown_at_their_tallest(truth):
    grown = PersonLabels(
        np.array([0.1, 0.6, 0.9, 1.8]),
        np.float32([[0, 0, 9, 90], [0, 0, 9, 50], [0, 0, 9, 70], [0, 0, 9, 99]]),
    )
    moment = tallest(Appearance("hall", "p2", 0.5, 1.5), grown)
    assert moment is not None
    assert moment.pts_s == 0.9
    assert tallest(Appearance("hall", "p2", 5.0, 6.0), grown) is None


def test_clear_to_see_leaves_out_the_small_and_the_covered():
    boxes = {
        "tall": (0, 0, 30, 100),
        "small": (50, 0, 60, 20),
        "behind": (100, 0, 130, 100),
        "front": (118, 0, 160, 100),
    }
    assert clear_to_see({name: np.float32(box) for name, box in boxes.items()}) == {"tall", "front"}
    assert clear_to_see({}) == set()


def test_wrong_hits_say_who_it_was(scores, truth, tmp_path):
    (tmp_path / ("f" * 64 + ".jpg")).write_bytes(b"jpeg")
    decision = {"distance": 0.2, "max_distance": 0.4, "margin": None}
    events = [
        {"data": {"hit_id": name, "revision": 1, "best": {"crop": crop}, "decision": decision}}
        for name, crop in (("a", {"sha256": "f" * 64}), ("b", None))
    ]
    details = hit_details(scores, events, truth, tmp_path)
    assert (details["a"].crop, details["a"].shows) == (b"jpeg", "p1")
    assert (details["b"].crop, details["b"].shows) == (None, "p9")


def test_missing_detail_is_no_reason_to_fail(content):
    assert isinstance(next(iter(content.missed.values())), MissedDetail)
    html = render(ReportContent("t", "s", 1.0, content.scores, content.truth, (), content.hits, {}, {}))
    assert "p2" in html
