"""A language model behind a server, as the server answers and as it should not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from engines.manifest import SCHEMA, load_manifest
from engines.preprocess import place
from pipeline.errors import ConfigError, OutsideError
from pipeline.messages import Candidate, Verdict
from pipeline.protocols import Enrolled
from pipeline.registry import build
from pipeline.secrets import redact
from pipeline.settings import choose
from plugins.pairwise import Question
from plugins.verifier_openai import Breaker, OpenAIVerifier
from tests.servers.openai import Stub, logprobs, pictures, stub
from tests.support.tracklets import tracklet

SIZE = (56, 28)
MANIFEST: dict[str, Any] = {
    "schema": SCHEMA, "name": "served", "role": "verifier", "file": "model.safetensors", "sha256": "0" * 64,
    "licence": "CC0-1.0", "provenance": "elsewhere",
    "preprocess": {"colour": "rgb", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)},
    "prompt": {"system": "Be brief.", "task": "Same?", "first": "A:", "second": "B:", "cue": "So?"},
    "answers": ["Yes", "No"], "tau": 2.0, "alpha": 0.3,
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as running:
        yield running


def made(folder: Path, server: Stub, **keys: Any) -> OpenAIVerifier:
    (folder / "verifier.yaml").write_text(yaml.safe_dump(MANIFEST))
    choice = choose("openai", url=server.url, model="m", engine="verifier.yaml", **keys)
    verifier: OpenAIVerifier = build("verifier", choice, folder, "verifier")
    return verifier


def question(*greys: int) -> Question:
    vector = np.array([1, 0], np.float32)
    pairs = []
    for rank, grey in enumerate(greys, start=1):
        png = cv2.imencode(".png", np.full((20, 10, 3), grey, np.uint8))[1].tobytes()
        pairs.append((Candidate(f"p{grey}", rank, 0.3, rank), Enrolled(f"p{grey}", rank, png, vector)))
    return tracklet(), pairs


def judged(verifier: OpenAIVerifier, *greys: int) -> list[Verdict]:
    (verdicts,) = verifier.verify([question(*greys)])
    return sorted(verdicts, key=lambda verdict: verdict.candidate.rank)


@pytest.mark.parametrize("tokenizer", [True, False])
def test_p_no_is_made_of_the_two_log_probabilities(tmp_path: Path, server: Stub, tokenizer: bool) -> None:
    server.tokenizer = tokenizer
    verifier = made(tmp_path, server, api_key="a-secret-key")
    for verdict in judged(verifier, 30, 200):
        (chat,) = [
            chat
            for chat, _ in server.requests
            if pictures(chat)[0].mean() == int(verdict.candidate.identity_id[1:])
        ]
        yes, no = logprobs(chat)
        p_no = 1 / (1 + np.exp((yes - no) / 2.0))
        assert verdict.p_no == pytest.approx(p_no)
        assert verdict.fused == pytest.approx(0.7 * 0.3 + 0.3 * 2 * p_no)
        assert verdict.degraded == ()


def test_a_request_is_the_manifests_question(tmp_path: Path, server: Stub) -> None:
    judged(made(tmp_path, server, api_key="a-secret-key"), 30)
    ((chat, headers),) = server.requests
    assert headers["Authorization"] == "Bearer a-secret-key"
    assert redact("it says a-secret-key") == "it says ***"
    system, user = chat["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    said = [part.get("text", "<picture>") for part in user["content"]]
    assert said == ["Same?\nA:", "<picture>", "\nB:", "<picture>", "\nSo?"]
    settings = load_manifest(tmp_path / "verifier.yaml").preprocess
    np.testing.assert_array_equal(pictures(chat)[1], place(tracklet().best.image, settings)[0])
    assert (chat["model"], chat["max_tokens"], chat["temperature"], chat["logprobs"]) == ("m", 1, 0, True)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("other_tokens", "without the log probabilities of token_id:263 and token_id:77"),
        ("nan", "are no numbers"),
        ("nothing", "without the log probabilities"),
        ("no_json", "not JSON"),
        ("a_list", "no JSON object"),
        ("cut", "IncompleteRead"),
        ("slow", "does not end in time|timed out"),
        ("busy", "503 later"),
        ("refused", "404 .*does not exist"),
        ("gone", "closed connection without response"),
    ],
)
def test_an_answer_that_cannot_be_used_marks_its_verdict(
    tmp_path: Path, server: Stub, how: str, says: str
) -> None:
    verifier = made(tmp_path, server, parallel=1, tries=1, timeout_s=0.5)
    server.how, server.times = how, 0
    judged(verifier, 1)
    server.requests.clear()
    server.times = 10**9
    with pytest.raises(OutsideError, match=says):
        judged(verifier, 30)


def test_one_bad_answer_among_good_ones_marks_one_verdict(tmp_path: Path, server: Stub) -> None:
    server.how, server.times = "nan", 1
    bad, good = judged(made(tmp_path, server, parallel=2), 30, 200)
    if bad.p_no is not None:
        bad, good = good, bad
    assert (bad.fused, bad.p_no, bad.degraded) == (0.3, None, ("verifier",))
    assert good.p_no is not None
    assert good.degraded == ()


@pytest.mark.parametrize("how", ["busy", "gone"])
def test_a_server_that_is_away_for_a_moment_is_asked_again(tmp_path: Path, server: Stub, how: str) -> None:
    server.how, server.times = how, 1
    (verdict,) = judged(made(tmp_path, server), 30)
    assert verdict.degraded == ()
    assert len(server.requests) == 2


def test_a_server_that_refuses_is_not_asked_again(tmp_path: Path, server: Stub) -> None:
    server.how = "refused"
    with pytest.raises(OutsideError, match="does not exist"):
        judged(made(tmp_path, server), 30)
    assert len(server.requests) == 1


def test_after_failures_the_server_is_left_alone(tmp_path: Path, server: Stub) -> None:
    server.how = "refused"
    verifier = made(tmp_path, server, failures=2, pause_s=60)
    for _ in range(2):
        with pytest.raises(OutsideError, match="does not exist"):
            judged(verifier, 30)
    with pytest.raises(OutsideError, match="left alone"):
        judged(verifier, 30)
    assert len(server.requests) == 2


def test_the_breaker_tries_again_after_its_pause() -> None:
    now = [0.0]
    breaker = Breaker(2, 10.0, lambda: now[0])
    breaker.tell(False)
    assert not breaker.open
    breaker.tell(False)
    assert breaker.open
    now[0] = 10.0
    assert not breaker.open
    breaker.tell(False)
    assert breaker.open
    now[0] = 20.0
    breaker.tell(True)
    breaker.tell(False)
    assert not breaker.open


def test_nobody_there_is_an_error_of_the_call(tmp_path: Path) -> None:
    with stub() as server:
        verifier = made(tmp_path, server)
    with pytest.raises(OutsideError, match="does not tell the tokens"):
        judged(verifier, 30)


@pytest.mark.parametrize("url", ["ftp://h/v1", "http://user:pass@h/v1"])
def test_an_address_that_cannot_be_is_refused(tmp_path: Path, url: str) -> None:
    (tmp_path / "verifier.yaml").write_text(yaml.safe_dump(MANIFEST))
    choice = choose("openai", url=url, model="m", engine="verifier.yaml")
    with pytest.raises(ConfigError, match="url"):
        build("verifier", choice, tmp_path, "verifier")


def test_one_pixel_is_a_picture(tmp_path: Path, server: Stub) -> None:
    who, pairs = question(30)
    png = cv2.imencode(".png", np.full((1, 1, 3), 9, np.uint8))[1].tobytes()
    pixel = [(candidate, Enrolled("p30", 1, png, shown.embedding)) for candidate, shown in pairs]
    ((verdict,),) = made(tmp_path, server).verify([(who, pixel)])
    assert verdict.p_no is not None
