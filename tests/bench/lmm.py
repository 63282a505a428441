"""Times the exact scores of pairs beside plain forwards, in processor time of one thread; prints, asserts nothing.

    python -m tests.bench.lmm [--candidates 40] [--queries 1 4] [--layers 8] [--width 512]

A random Qwen2-VL, pictures of 280 x 140, rules first. Its tokenizer reads bytes, so the question is cut to the number
of tokens that the shipped one has for a real tokenizer. Each way answers the same pairs in turn: the library's forward
over the whole prompt a pair, the same in batches, ours with nothing kept, and ours with the enrolled side kept (as in
the stream, where the crops are new and the enrolled pictures are not).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml

from engines.lmm.model import VisionLanguageModel
from engines.lmm.pictures import Picture, patches, prepare
from engines.lmm.question import PairQuestion
from engines.lmm.scorer import Scorer
from engines.manifest import Preprocess
from engines.prompts import Prompt
from tests.support.tiny_lmm import network, tiny_tokenizer

SETTINGS = Preprocess(
    colour="rgb", scale=1 / 255, mean=(0.481, 0.458, 0.408), std=(0.269, 0.261, 0.276), resize="stretch",
    size=(280, 140),
)  # fmt: skip
BATCH = 8


def plain(model, library, tokenizer, question, pairs, batch):
    """The library's own forward over whole prompts, which are all of one length."""
    pad, grid, answers = "<|image_pad|>", (1, 20, 10), tokenizer.convert_tokens_to_ids(["Yes", "No"])
    logits = []
    for start in range(0, len(pairs), batch):
        ids, pixels = [], []
        for pair in pairs[start : start + batch]:
            parts = [*question.until_first(pair[0]), *question.from_second(pair[1])]
            shown = f"<|vision_start|>{pad * 50}<|vision_end|>"
            text = "".join(part if isinstance(part, str) else shown for part in parts)
            ids.append(tokenizer.encode(text, add_special_tokens=False))
            pixels += [patches(picture.pixels, model.grid) for picture in pair]
        tokens = torch.tensor(ids)
        with torch.inference_mode():
            answer = library(
                input_ids=tokens,
                mm_token_type_ids=(tokens == tokenizer.convert_tokens_to_ids(pad)).int(),
                pixel_values=torch.from_numpy(np.concatenate(pixels)),
                image_grid_thw=torch.tensor([grid] * len(pixels)),
                logits_to_keep=1,
            ).logits[:, -1, answers]
        logits.append(answer.numpy())
    return np.concatenate(logits)


def ours(scorer: Scorer, question: PairQuestion, pairs: list[tuple[Picture, Picture]]):
    asked = [
        (scorer.prefix(question.until_first(first)), question.from_second(second)) for first, second in pairs
    ]
    return scorer.score_pairs(asked)


def timed(work: Callable[[], np.ndarray]):
    begun = time.process_time()
    return work(), time.process_time() - begun


def picture(seed: int) -> Picture:
    image = np.random.default_rng(seed).integers(0, 256, (280, 140, 3), np.uint8)
    return prepare([image], SETTINGS)[0]


def compare(model, library, tokenizer, question: PairQuestion, queries: int, candidates: int) -> None:
    """All ways on the same pairs."""
    enrolled = [picture(i) for i in range(candidates)]
    crops = [picture(1000 * queries + i) for i in range(queries)]
    pairs = [(first, crop) for crop in crops for first in enrolled]
    kept = Scorer(model, batch=BATCH)
    ours(kept, question, [(first, picture(999_999)) for first in enrolled])
    truth, seconds = timed(lambda: plain(model, library, tokenizer, question, pairs, 1))
    ways = {
        "batched": lambda: plain(model, library, tokenizer, question, pairs, BATCH),
        "ours, nothing kept": lambda: ours(Scorer(model, batch=BATCH), question, pairs),
        "ours, enrolled kept": lambda: ours(kept, question, pairs),
    }
    print(f"{queries} waiting: plain {seconds:.2f} s")
    for name, work in ways.items():
        scores, own = timed(work)
        other = int(((scores[:, 0] > scores[:, 1]) != (truth[:, 0] > truth[:, 1])).sum())
        apart = np.abs(scores - truth).max()
        print(
            f"  {name}: {own:.2f} s, {seconds / own:.1f} x, max difference {apart:.1e}, {other} other decisions"
        )
    print(
        f"  kept for {candidates} enrolled pictures and {queries + 1} crops: {kept.nbytes / 2**20:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = tiny_tokenizer()
    library = network("qwen2_vl", tokenizer, options.width, options.layers)
    model = VisionLanguageModel(library, tokenizer, ("Yes", "No"))
    shipped = Prompt.model_validate(yaml.safe_load(Path("configs/prompts/pair.yaml").read_text()))
    shorter = Prompt(
        task=shipped.task[:40], rules=shipped.rules[:110], first="First:", second="Second:", cue="Same?"
    )
    print(
        f"{sum(p.numel() for p in library.parameters()) / 1e6:.1f} M parameters, {options.candidates} candidates"
    )
    for queries in options.queries:
        compare(model, library, tokenizer, PairQuestion(shorter, "rules_first"), queries, options.candidates)


if __name__ == "__main__":
    main()
