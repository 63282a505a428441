"""Late scores beside the library's own forward over the whole, under the mask that tuning uses."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from engines.lmm.late import LatePairs, late_order
from engines.lmm.pack import pack
from engines.lmm.pairs import open_pairs
from engines.lmm.parts import marked
from engines.lmm.pictures import Picture
from engines.lmm.question import PairQuestion
from engines.manifest import load_manifest
from tests.engines.lmm.test_scorer import TOLERANCE, Plain
from tests.support.tiny_lmm import KINDS, PROMPT, tiny_verifier

pytestmark = pytest.mark.torch

QUESTION = PairQuestion(PROMPT, "late")


@pytest.fixture(scope="module", params=KINDS)
def plain(request: pytest.FixtureRequest) -> Plain:
    return Plain(request.param)


def whole(plain: Plain, first: Picture, second: Picture) -> NDArray[np.float32]:
    """(2,) logits of one forward over everything, with `late_order`."""
    model, library = plain.model, plain.network
    with torch.inference_mode():
        features = {
            each.key: seen for each, seen in zip((first, second), model.look([first, second]), strict=True)
        }
        parts = (
            [QUESTION.opening],
            marked([QUESTION.announces_first, first]),
            marked([QUESTION.announces_second, second]),
            [QUESTION.after],
        )
        packed = [pack(each, features, model.embed) for each in parts]
        sees, starts = late_order([len(each) for each in packed], [each.end for each in packed])
        deep = [torch.cat(layers) for layers in zip(packed[1].deep, packed[2].deep, strict=True)]
        seen = torch.cat([each.seen for each in packed])[None]
        more = {"visual_pos_masks": seen, "deepstack_visual_embeds": deep} if deep else {}
        places = [each.positions + start for each, start in zip(packed, starts, strict=True)]
        hidden = library.model.language_model(
            inputs_embeds=torch.cat([each.vectors for each in packed])[None],
            position_ids=torch.cat(places, 1)[:, None],
            attention_mask=torch.where(sees, 0.0, torch.finfo(torch.float32).min)[None, None],
            **more,
        ).last_hidden_state[0, -1]
        two: NDArray[np.float32] = (library.lm_head.weight[list(model.answer_tokens)] @ hidden).numpy()
    return two


def test_scores_are_those_of_one_forward_under_the_mask(plain: Plain) -> None:
    firsts = [plain.picture(1), plain.picture(2, 3, 2), plain.picture(3)]
    seconds = [plain.picture(10, 2, 2), plain.picture(11), plain.picture(12, 4, 1)]
    pairs = [(first, second) for first in firsts for second in seconds]
    late = LatePairs(QUESTION, plain.model, batch=4)
    expected = np.stack([whole(plain, *pair) for pair in pairs])
    np.testing.assert_allclose(late.score(pairs), expected, atol=TOLERANCE)
    np.testing.assert_allclose(late.score(pairs[::-1]), expected[::-1], atol=TOLERANCE)
    assert expected.std(axis=0).min() > 100 * TOLERANCE
    none = LatePairs(QUESTION, plain.model, vision_mb=0, read_mb=0)
    np.testing.assert_allclose(none.score(pairs), expected, atol=TOLERANCE)
    assert none.nbytes == 0


def test_neither_picture_is_read_again_for_another_pair(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = LatePairs(QUESTION, plain.model)
    pictures = [plain.picture(i) for i in range(4)]
    late.score([(pictures[0], pictures[1]), (pictures[2], pictures[3])])
    kept = late.nbytes
    monkeypatch.setattr(plain.model, "look", None)
    late.score([(pictures[0], pictures[3]), (pictures[2], pictures[1])])
    assert late.nbytes == kept
    late.forget(pictures[0])
    assert late.nbytes < kept
    late.clear()
    assert late.nbytes == 0


def test_the_order_hides_each_picture_from_the_other_only() -> None:
    sees, starts = late_order([2, 3, 1, 2], [2, 2, 1, 2])
    assert starts.tolist() == [0, 2, 2, 4]
    assert sees.int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 1, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ]  # fmt: skip


def test_the_manifest_says_that_it_is_late(tmp_path: Path) -> None:
    manifest = load_manifest(tiny_verifier(tmp_path, layout="late"))
    late = open_pairs(manifest, device="cpu", batch=2)
    assert isinstance(late, LatePairs)
    assert late.batch == 16
