"""The door: what plugins say of themselves, and answers that cannot be."""

import ast
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError
from pipeline.facts import Facts, SourceFacts, facts
from pipeline.messages import Candidate, Detections, Mask, Verdict
from pipeline.plugged import (
    Plugged,
    PluggedCodec,
    PluggedDetector,
    PluggedEmbedder,
    PluggedIndex,
    PluggedMasker,
    PluggedTracker,
    PluggedVerifier,
)
from pipeline.protocols import Enrolled
from pipeline.testing import FakeCodec, FakeEmbedder, FakeReader, frame, tracklet

ROOT = Path(__file__).parents[2]
NAN = float("nan")
PEOPLE = Detections(np.array([[1, 1, 9, 9], [2, 2, 9, 9]], np.float32), np.ones(2, np.float32))
CROPS = [np.full((4, 2, 3), value, np.uint8) for value in (9, 200)]
CANDIDATES = [Candidate("anna", 1, 0.3, 1), Candidate("luca", 2, 0.4, 2)]
PAIRS = [(each, Enrolled(each.identity_id, 1, None, np.ones(2, np.float32))) for each in CANDIDATES]
ASKED = tracklet()


def verdict(fused: float = 0.3, candidate: int = 0, p_no: float | None = None) -> Verdict:
    return Verdict(CANDIDATES[candidate], fused, p_no)


def mask(pixels: int = 64 * 48, size: tuple[int, int] = (48, 64)) -> Mask:
    return Mask((pixels,), size)


ASK: dict[str, Callable[[Any], Any]] = {
    "detector": lambda plugged: plugged.detect([frame(), frame(1)]),
    "tracker": lambda plugged: plugged.update(frame(), PEOPLE, None),
    "embedder": lambda plugged: plugged.embed(CROPS),
    "index": lambda plugged: plugged.search(UNIT.astype(np.float32), 5, of=2),
    "verifier": lambda plugged: plugged.verify([(ASKED, PAIRS)]),
    "masker": lambda plugged: plugged.mask([(ASKED, None)]),
    "codec": lambda plugged: plugged.decode(b"x"),
}


def ask(plugged: Plugged) -> Any:
    """One call of its role."""
    return ASK[plugged.role](plugged)


def plugin(role: str, answer: Any) -> SimpleNamespace:
    """A plugin that gives the same answer to everything; an exception is raised."""

    def give(*_: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    verb = {"detector": "detect", "tracker": "update", "embedder": "embed", "verifier": "verify"}
    verbs = verb | {"masker": "mask", "codec": "decode", "index": "search"}
    return SimpleNamespace(**{verbs[role]: give}, dimension=2, needs_embeddings=False)


KINDS: dict[str, type[Plugged]] = {
    kind.role: kind
    for kind in (
        PluggedIndex,
        PluggedDetector,
        PluggedTracker,
        PluggedEmbedder,
        PluggedVerifier,
        PluggedMasker,
        PluggedCodec,
    )
}
UNIT = np.array([[1, 0], [0, 1]])
RIGHT = {
    "detector": [PEOPLE, Detections.empty()],
    "tracker": np.array([3, -1], np.int32),
    "embedder": UNIT.astype(np.float64),
    "verifier": [[verdict(candidate=1), verdict()]],
    "masker": [mask()],
    "codec": CROPS[0],
    "index": (np.array([[0.0, 1.4], [0.0, 1.4]]), np.array([[0, 1], [1, 0]])),
}
RUBBISH = [
    ("detector", None),
    ("detector", [PEOPLE]),
    ("detector", [(1, 2, 3, 4), PEOPLE]),
    ("detector", [Detections(np.array([[-1e30, 0, 1e30, 9]], np.float32), np.ones(1, np.float32)), PEOPLE]),
    ("detector", [Detections(PEOPLE.xyxy, np.array([0.5, 1.5], np.float32)), PEOPLE]),
    ("tracker", [1, 2]),
    ("tracker", np.array([1])),
    ("tracker", np.array([1.0, 2.0])),
    ("embedder", None),
    ("embedder", UNIT[:1].astype(np.float32)),
    ("embedder", UNIT),
    ("embedder", np.full((2, 2), NAN, np.float32)),
    ("embedder", np.full((2, 2), 0.5, np.float32)),
    ("embedder", np.ones((2, 3), np.float32)),
    ("verifier", []),
    ("verifier", [None]),
    ("verifier", [[verdict()]]),
    ("verifier", [[verdict(), verdict()]]),
    ("verifier", [[verdict(NAN), verdict(candidate=1)]]),
    ("verifier", [[verdict(7.0), verdict(candidate=1)]]),
    ("verifier", [[verdict(), verdict(candidate=1, p_no=1.5)]]),
    ("verifier", [[replace(verdict(), degraded=None), verdict(candidate=1)]]),
    ("verifier", [[replace(verdict(), degraded=(object(),)), verdict(candidate=1)]]),
    ("masker", []),
    ("masker", [CROPS[0]]),
    ("masker", [mask(size=(64, 48))]),
    ("masker", [mask(pixels=7)]),
    ("index", None),
    ("index", (np.zeros((2, 1)), np.zeros((2, 1), int))),
    ("index", (np.zeros((2, 2)), np.array([[0, 2], [0, 1]]))),
    ("index", (np.zeros((2, 2)), np.array([[0, -1], [0, 1]]))),
    ("index", (np.array([[1.0, 0.5], [0.0, NAN]]), np.array([[0, 1], [0, 1]]))),
    ("codec", None),
    ("codec", CROPS[0][..., 0]),
    ("codec", CROPS[0].astype(float)),
]


@pytest.mark.parametrize("role", KINDS)
def test_what_fits_is_passed_on(role: str) -> None:
    answer = ask(KINDS[role].of(plugin(role, RIGHT[role])))
    if role == "detector":
        assert [len(each) for each in answer] == [2, 0]
    else:
        assert np.array_equal(answer, RIGHT[role])


def test_runs_of_a_mask_are_plain_integers_whatever_library_made_them() -> None:
    made = Mask(np.array([0, 64 * 48]), (48, 64))
    [passed] = ask(PluggedMasker.of(plugin("masker", [made])))
    assert json.dumps(passed.counts) == "[0, 3072]"


@pytest.mark.parametrize(("role", "answer"), RUBBISH)
def test_an_answer_that_cannot_be_is_refused_and_told(role: str, answer: Any) -> None:
    plugged = KINDS[role].of(plugin(role, answer), use="odd")
    with pytest.raises(ConfigError):
        ask(plugged)
    assert (plugged.calls.problem or "").startswith(f"the {role} 'odd' failed: ")


@pytest.mark.parametrize("role", KINDS)
def test_what_a_plugin_raises_comes_through(role: str) -> None:
    with pytest.raises(MemoryError, match="no room"):
        ask(KINDS[role].of(plugin(role, MemoryError("no room"))))


@pytest.mark.parametrize(
    ("role", "attribute", "value", "told"),
    [
        ("embedder", "dimension", 0, "greater than or equal to 1"),
        ("embedder", "dimension", "wide", "valid integer"),
        ("embedder", "max_distance", NAN, "less than or equal to 2"),
        ("embedder", "max_distance", "near", "valid number"),
        ("embedder", "min_height_px", -1, "greater than or equal to 0"),
        ("embedder", "reads_text", "perhaps", "valid boolean"),
        ("embedder", "engine_digest", 7, "text"),
        ("detector", "engine_digest", ["x"], "text"),
        ("tracker", "needs_embeddings", "some", "valid boolean"),
        ("verifier", "needs_pictures", "some", "valid boolean"),
        ("masker", "guided", None, "valid boolean"),
    ],
)
def test_what_a_plugin_says_of_itself_is_checked(role: str, attribute: str, value: Any, told: str) -> None:
    odd = plugin(role, None)
    setattr(odd, attribute, value)
    with pytest.raises(ConfigError, match=f"(?s){role} 'odd': {attribute}: .*{told}.*mend the attributes of"):
        KINDS[role].of(odd, use="odd")


def test_facts_are_read_once() -> None:
    embedder = FakeEmbedder()
    plugged = PluggedEmbedder.of(embedder)
    embedder.engine_digest, embedder.max_distance = "sha256:other", 1.0
    assert (plugged.digest, plugged.facts.max_distance) == ("sha256:fake", 0.2)


def test_facts_stay_when_the_plugin_is_asked_through_something_else() -> None:
    plugged = PluggedEmbedder.of(SimpleNamespace(**vars(plugin("embedder", UNIT * 1.0)), min_height_px=120))
    again = replace(plugged, plugin=plugin("embedder", UNIT[::-1] * 1.0))
    assert again.facts.min_height_px == 120
    assert np.array_equal(again.embed(CROPS), UNIT[::-1])


def test_a_source_says_whether_it_is_live() -> None:
    camera = SimpleNamespace(live=True)
    told = facts(SourceFacts, camera, "source 'x'")
    assert (told.live, told.finite, told.opening_s) == (True, False, 0.0)
    with pytest.raises(ConfigError, match="source 'x': live"):
        facts(SourceFacts, SimpleNamespace(), "source 'x'")
    with pytest.raises(ConfigError, match="source 'x': opening_s"):
        facts(SourceFacts, SimpleNamespace(live=True, opening_s=NAN), "source 'x'")


def test_texts_are_read_where_the_plugin_reads() -> None:
    reader, blind = PluggedEmbedder.of(FakeReader()), PluggedEmbedder.of(FakeEmbedder())
    assert reader.embed_text(["red", "blue"]).shape == (2, 4)
    assert reader.embed_text([]).shape == (0, 4)
    with pytest.raises(InputError, match="longer than ten words"):
        reader.embed_text(["red " * 11])
    with pytest.raises(ConfigError, match="reads no texts"):
        blind.embed_text(["red"])


def test_a_guided_masker_is_told_whom_to_cut_out() -> None:
    seen: list[object] = []

    class Guided:
        guided = True

        def mask_person(self, questions: Sequence[tuple[Any, Enrolled | None]]) -> list[Mask | None]:
            seen.extend(enrolled and enrolled.identity_id for _, enrolled in questions)
            return [mask() for _ in questions]

    PluggedMasker.of(Guided()).mask([(ASKED, PAIRS[0][1]), (ASKED, None)])
    assert seen == ["anna", None]


def test_a_tracker_that_asks_names_rows() -> None:
    def asking(rows: Any) -> PluggedTracker:
        return PluggedTracker.of(SimpleNamespace(asks=True, wanted=lambda *_: rows))

    assert asking(np.array([1, 0, 1])).wanted(frame(), PEOPLE).tolist() == [0, 1]
    assert asking(np.array([])).wanted(frame(), PEOPLE).tolist() == []
    for rows in (np.array([2]), np.array([-1]), np.array([0.5]), None):
        with pytest.raises(ConfigError):
            asking(rows).wanted(frame(), PEOPLE)


def test_a_codec_keeps_what_it_is_given() -> None:
    codec = PluggedCodec.of(FakeCodec())
    assert np.array_equal(codec.decode(codec.encode(CROPS[0])), CROPS[0])
    assert codec.resize(CROPS[0], (7, 5)).shape == (5, 7, 3)
    with pytest.raises(InputError):
        codec.decode(b"x")
    odd = PluggedCodec.of(SimpleNamespace(encode=lambda *_: "text", resize=lambda *_: CROPS[0]))
    with pytest.raises(ConfigError):
        odd.encode(CROPS[0])
    with pytest.raises(ConfigError):
        odd.resize(CROPS[0], (7, 5))


def test_closing_a_plugin_that_cannot_be_closed_is_nothing() -> None:
    PluggedCodec.of(FakeCodec()).close()


DOOR = ("pipeline/facts.py", "pipeline/registry.py")
KNOWN = {name for kind in Facts.__subclasses__() for name in kind.model_fields}
KNOWN |= {
    "close",
    "dimension",
    "min_height_px",
    "needs_pictures",
    "read",
    "set_aside",
    "embed_text",
    "wanted",
}


ROLES = {
    "source",
    "detector",
    "tracker",
    "embedder",
    "index",
    "verifier",
    "masker",
    "codec",
    "sink",
    "bus",
    "plugin",
}


def look_ups(path: Path) -> list[str]:
    """Places where an attribute of a plugin is looked up by its name, or any attribute of something called so."""
    calls = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    looked = [
        call for call in calls if isinstance(call.func, ast.Name) and call.func.id in {"getattr", "hasattr"}
    ]
    return [
        f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for call in looked
        if (isinstance(call.args[1], ast.Constant) and call.args[1].value in KNOWN)
        or ast.unparse(call.args[0]).rsplit(".")[-1].strip("_") in ROLES
    ]


def test_look_ups_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "x.py"
    path.write_text('getattr(x, "max_distance", 1)\nhasattr(self._sink, name)\ngetattr(error, "fix")\n')
    assert [place.split(":")[1] for place in look_ups(path)] == ["1", "2"]


def test_nobody_behind_the_door_looks_at_what_a_plugin_has() -> None:
    files = [path for folder in ("pipeline", "trainers") for path in (ROOT / folder).rglob("*.py")]
    files = [
        path for path in files if ROOT / "pipeline/testing" not in path.parents
    ]  # which looks from outside
    assert [
        place for path in files if str(path.relative_to(ROOT)) not in DOOR for place in look_ups(path)
    ] == []
