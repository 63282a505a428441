"""Scores of pairs against one plain forward of the library over the whole prompt."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from engines.errors import OutputError
from engines.lmm.answers import p_no
from engines.lmm.model import VisionLanguageModel
from engines.lmm.parts import Parts
from engines.lmm.pictures import Picture, patches, prepare
from engines.lmm.question import PairQuestion
from engines.lmm.scorer import Scorer
from engines.manifest import Preprocess
from engines.prompts import Layout
from tests.support.tiny_lmm import KINDS, PROMPT, network, tiny_tokenizer

pytestmark = pytest.mark.torch

TOLERANCE = 1e-4


class Plain:
    """The library's own model, asked one pair at a time."""

    def __init__(self, kind: str) -> None:
        self.tokenizer = tiny_tokenizer()
        self.network: Any = network(kind, self.tokenizer)
        self.model = VisionLanguageModel(self.network, self.tokenizer, ("Yes", "No"))
        self.square = self.model.grid.token_px

    def picture(self, seed: int, rows: int = 2, columns: int = 1) -> Picture:
        settings = Preprocess(
            colour="rgb", scale=1 / 64, resize="stretch", size=(rows * self.square, columns * self.square)
        )
        image = np.random.default_rng(seed).integers(0, 256, (50, 30, 3), np.uint8)
        return prepare([image], settings)[0]

    def logits(self, parts: Parts) -> NDArray[np.float32]:
        """(2,) from `forward` over the whole, with the positions that the library makes itself."""
        ids: list[int] = []
        kinds: list[int] = []
        grids, pixels = [], []
        token, pad = self.tokenizer.convert_tokens_to_ids, "<|image_pad|>"
        text = "".join(
            part if isinstance(part, str) else f"<|vision_start|>{pad}<|vision_end|>" for part in parts
        )
        pictures = iter([part for part in parts if isinstance(part, Picture)])
        for each in self.tokenizer.encode(text, add_special_tokens=False):
            count = 1
            if each == token(pad):
                picture = next(pictures)
                rows, columns = (side // self.model.grid.patch_px for side in picture.pixels.shape[1:])
                count = rows * columns // 4
                grids.append([1, rows, columns])
                pixels.append(patches(picture.pixels, self.model.grid))
            ids += [each] * count
            kinds += [int(each == token(pad))] * count
        with torch.inference_mode():
            answer = self.network(
                input_ids=torch.tensor([ids]),
                mm_token_type_ids=torch.tensor([kinds]),
                pixel_values=torch.from_numpy(np.concatenate(pixels)),
                image_grid_thw=torch.tensor(grids),
                logits_to_keep=1,
            )
        two: NDArray[np.float32] = answer.logits[0, -1, token(["Yes", "No"])].numpy()
        return two


@pytest.fixture(scope="module", params=KINDS)
def plain(request: pytest.FixtureRequest) -> Plain:
    return Plain(request.param)


def parts(layout: Layout, first: Picture, second: Picture) -> tuple[Parts, Parts]:
    question = PairQuestion(PROMPT, layout)
    return question.until_first(first), question.from_second(second)


@pytest.mark.parametrize("layout", ["rules_first", "rules_last"])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_scores_are_those_of_a_plain_forward(plain: Plain, layout: Layout, batch: int) -> None:
    firsts = [plain.picture(1), plain.picture(2, 3, 2), plain.picture(3)]
    seconds = [plain.picture(10, 2, 2), plain.picture(11), plain.picture(12, 4, 1)]
    scorer = Scorer(plain.model, batch=batch)
    pairs = [parts(layout, first, second) for first in firsts for second in seconds]
    scores = scorer.score_pairs([(scorer.prefix(before), after) for before, after in pairs])

    expected = np.stack([plain.logits([*before, *after]) for before, after in pairs])
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE)
    assert expected.std(axis=0).min() > 100 * TOLERANCE  # the pictures matter
    np.testing.assert_array_equal(scores[:, 0] > scores[:, 1], expected[:, 0] > expected[:, 1])


def test_it_is_cut_before_a_picture_or_among_words(plain: Plain) -> None:
    first, second, scorer = plain.picture(1), plain.picture(2, 3), Scorer(plain.model)
    whole = ["Two: ", first, " and ", second, ". One?"]
    expected = plain.logits(whole)
    for cut in ([whole[:3], whole[3:]], [whole[:2], whole[2:]]):
        scores = scorer.score(scorer.prefix(cut[0]), [cut[1]])
        np.testing.assert_allclose(scores[0], expected, atol=TOLERANCE)
    with pytest.raises(ValueError, match="begins with a picture"):
        scorer.score(scorer.prefix(whole[:3]), [whole[4:]])
    with pytest.raises(ValueError, match="begins with a picture"):
        scorer.score(scorer.prefix(whole[:2]), [whole[3:]])


def test_the_words_that_all_begin_with_are_kept_once(plain: Plain) -> None:
    scorer = Scorer(plain.model)
    sizes = []
    for i in range(4):
        before, after = parts("rules_first", plain.picture(i), plain.picture(9))
        scorer.score(scorer.prefix(before), [after])
        sizes.append(scorer.nbytes)
    grown = np.diff(sizes)
    assert (grown == grown[0]).all()
    assert sizes[0] > 3 * grown[0]


def test_one_query_against_many(plain: Plain) -> None:
    scorer = Scorer(plain.model)
    pairs = [parts("rules_first", plain.picture(1), plain.picture(20 + i, 2 + i % 2)) for i in range(11)]
    scores = scorer.score(scorer.prefix(pairs[0][0]), [after for _, after in pairs])
    expected = np.stack([plain.logits([*before, *after]) for before, after in pairs])
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE)


def test_what_went_from_the_caches_comes_again(plain: Plain) -> None:
    none, roomy = Scorer(plain.model, vision_mb=0, prefix_mb=0), Scorer(plain.model)
    pairs = [parts("rules_first", plain.picture(i), plain.picture(30 + i, 3)) for i in range(4)] * 2
    first = roomy.score_pairs([(roomy.prefix(before), after) for before, after in pairs])
    again = roomy.score_pairs([(roomy.prefix(before), after) for before, after in pairs])
    without = none.score_pairs([(none.prefix(before), after) for before, after in pairs])
    assert roomy.nbytes > 0
    assert none.nbytes == 0
    np.testing.assert_allclose(again, first, atol=TOLERANCE)
    np.testing.assert_allclose(without, first, atol=TOLERANCE)


def test_what_is_kept_is_not_read_again(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(plain.model)
    before, after = parts("rules_first", plain.picture(1), plain.picture(2))
    scorer.score(scorer.prefix(before), [after])
    looked: list[int] = []
    look = plain.model.look
    monkeypatch.setattr(plain.model, "look", lambda new: looked.append(len(new)) or look(new))
    scorer.score(scorer.prefix(before), [after, [*after[:1], plain.picture(3), *after[2:]]])
    assert looked == [1]


def test_a_prefix_that_is_forgotten_leaves_nothing(plain: Plain) -> None:
    scorer = Scorer(plain.model)
    before, after = parts("rules_first", plain.picture(1), plain.picture(2))
    other, _ = parts("rules_first", plain.picture(4), plain.picture(2))
    kept = scorer.prefix(other)
    scorer.score(kept, [after])
    bytes_before = scorer.nbytes
    gone = scorer.prefix(before)
    scores = scorer.score(gone, [after])
    scorer.forget(gone)
    assert scorer.nbytes == bytes_before
    np.testing.assert_allclose(scorer.score(gone, [after]), scores, atol=TOLERANCE)


def test_pictures_are_cut_up_as_the_library_does_it(plain: Plain) -> None:
    from transformers import Qwen2VLImageProcessor

    grid = plain.model.grid
    processor = Qwen2VLImageProcessor(
        patch_size=grid.patch_px, merge_size=2, temporal_patch_size=grid.frames, do_resize=False, do_normalize=False,
        do_rescale=False,
    )  # fmt: skip
    picture = plain.picture(5, 3, 2)
    theirs = processor([torch.from_numpy(picture.pixels)], return_tensors="pt")["pixel_values"].numpy()
    np.testing.assert_allclose(patches(picture.pixels, grid), theirs, atol=1e-6)


def test_a_network_of_nonsense_is_told() -> None:
    plain = Plain("qwen2_vl")
    with torch.no_grad():
        plain.network.lm_head.weight.fill_(float("nan"))
    model = VisionLanguageModel(plain.network, plain.tokenizer, ("Yes", "No"))
    scorer = Scorer(model)
    before, after = parts("rules_first", plain.picture(1), plain.picture(2))
    with pytest.raises(OutputError, match="not a number"):
        scorer.score(scorer.prefix(before), [after])


def test_p_no_is_the_second_answers_share_of_the_two() -> None:
    logits = np.array([[2.0, 7.0], [7.0, 2.0], [0.0, 0.0], [9e9, -9e9]], np.float32)
    odds = np.exp(-1.0)
    np.testing.assert_allclose(p_no(logits, 5.0), [1 / (1 + odds), odds / (1 + odds), 0.5, 0], rtol=1e-6)


def test_prefixes_are_known_by_all_that_is_in_them(plain: Plain) -> None:
    first, second = plain.picture(1), plain.picture(2)
    bare = replace(first, key=b"other")
    scorer = Scorer(plain.model)
    assert scorer.prefix(["a", first]).key == scorer.prefix(["a", first]).key
    others = (["b", first], ["a", second], ["a", bare], [first, "a"])
    assert len({scorer.prefix(each).key for each in others} | {scorer.prefix(["a", first]).key}) == 5
