"""Times the exact scores of pairs beside plain `generate`, in processor time of one thread; prints, asserts nothing.

    python -m tests.bench.lmm [--candidates 40] [--queries 1 4] [--enrolled 10 100 1000] [--graphs]

A random model of the shape of Qwen2-VL-2B, all widths by three and all depths by three and a half or four; pictures of
280 x 140, the question of configs/prompts/pair.yaml, rules first. The words of the question are
one token each, as in a real vocabulary. Each way answers the same pairs in turn:
the library's `generate` of one token a pair, the same in batches, ours with nothing kept, and ours with the enrolled
side kept (as in the stream, where the crops are new and the enrolled pictures are not). Late scores are timed beside
them. With `--enrolled`, the memory that so many enrolled pictures take; with `--graphs`, a verifier that is small
enough to ship, on torch and on onnxruntime.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml

from engines.lmm.answers import PairScorer
from engines.lmm.export import export_verifier
from engines.lmm.late import LatePairs
from engines.lmm.model import VisionLanguageModel
from engines.lmm.pairs import open_pairs
from engines.lmm.pictures import Picture, patches, prepare
from engines.lmm.question import PairQuestion
from engines.lmm.scorer import ExactPairs, Scorer
from engines.manifest import Preprocess, load_manifest
from engines.prompts import Prompt
from tests.support.tiny_lmm import network, write_manifest
from trainers.verification.small_model import small_tokenizer

SETTINGS = Preprocess(
    colour="rgb", scale=1 / 255, mean=(0.481, 0.458, 0.408), std=(0.269, 0.261, 0.276), resize="stretch",
    size=(280, 140),
)  # fmt: skip
BATCH = 8
GEOMETRY = {
    "width": 512, "layers": 8, "heads": 4, "key_heads": 1, "inner": 2976, "vision_width": 432, "vision_layers": 8,
    "vision_heads": 6, "vision_ratio": 4,
}  # fmt: skip

SMALL = {
    "width": 192, "layers": 4, "heads": 6, "key_heads": 2, "inner": 512, "vision_width": 128, "vision_layers": 4,
    "vision_heads": 4,
}  # fmt: skip
TURNS = "assistant\nuser\nsystem"


def plain(model, library, tokenizer, question, pairs, batch):
    """The library's own `generate` after whole prompts, which are all of one length."""
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
        answer = library.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            mm_token_type_ids=(tokens == tokenizer.convert_tokens_to_ids(pad)).int(),
            pixel_values=torch.from_numpy(np.concatenate(pixels)),
            image_grid_thw=torch.tensor([grid] * len(pixels)),
            max_new_tokens=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits.append(answer.logits[0][:, answers].numpy())
    return np.concatenate(logits)


def timed(work: Callable[[], np.ndarray]):
    begun = time.process_time()
    return work(), time.process_time() - begun


def picture(seed: int, settings: Preprocess = SETTINGS) -> Picture:
    image = np.random.default_rng(seed).integers(0, 256, (280, 140, 3), np.uint8)
    return prepare([image], settings)[0]


def compare(model, library, tokenizer, prompt: Prompt, queries: int, candidates: int) -> None:
    """All ways on the same pairs."""
    enrolled = [picture(i) for i in range(candidates)]
    crops = [picture(1000 * queries + i) for i in range(queries)]
    pairs = [(first, crop) for crop in crops for first in enrolled]
    question = PairQuestion(prompt, "rules_first")
    kept, late = (
        ExactPairs(question, Scorer(model, batch=BATCH)),
        LatePairs(PairQuestion(prompt, "late"), model),
    )
    for scorer in (kept, late):
        scorer.score([(first, picture(999_999)) for first in enrolled])
    truth, seconds = timed(lambda: plain(model, library, tokenizer, question, pairs, 1))
    ways = {
        "batched": lambda: plain(model, library, tokenizer, question, pairs, BATCH),
        "ours, nothing kept": lambda: ExactPairs(question, Scorer(model, batch=BATCH)).score(pairs),
        "ours, enrolled kept": lambda: kept.score(pairs),
        "late, enrolled kept (another model's scores)": lambda: late.score(pairs),
    }
    print(f"{queries} waiting: plain {seconds:.2f} s")
    for name, work in ways.items():
        scores, own = timed(work)
        other = int(((scores[:, 0] > scores[:, 1]) != (truth[:, 0] > truth[:, 1])).sum())
        apart = np.abs(scores - truth).max()
        print(
            f"  {name}: {own:.2f} s, {seconds / own:.1f} x, max difference {apart:.1e}, {other} other decisions",
            flush=True,
        )


def remember(scorer: PairScorer, sizes: list[int]) -> None:
    """Memory after so many enrolled pictures were asked about."""
    crop, done = picture(999_999), 0
    for size in sorted(sizes):
        for i in range(
            done, size
        ):  # one at a time, for a picture's pixels take as much as what is kept of it
            scorer.score([(picture(i), crop)])
        done = size
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        print(
            f"{size} enrolled: {scorer.nbytes / 2**20:.0f} MB kept, {resident / 2**20:.0f} MB resident",
            flush=True,
        )


def beside_graphs(prompt: Prompt, candidates: int) -> None:
    """A verifier small enough to ship, on torch and on onnxruntime: four crops against all, enrolled side kept."""
    tokenizer = small_tokenizer([TURNS, *prompt.model_dump().values()], ("Yes", "No"))
    fed = {**SETTINGS.model_dump(), "size": [140, 84]}
    with tempfile.TemporaryDirectory() as folder:
        network("qwen2_vl", tokenizer, **SMALL).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        source = write_manifest(Path(folder), "qwen2_vl", prompt=prompt.model_dump(), preprocess=fed)
        engines = {"torch": load_manifest(source), "graphs": export_verifier(source, Path(folder) / "graphs")}
        megabytes = {
            name: sum(
                path.stat().st_size for path in engine.paths if path.suffix in (".onnx", ".safetensors")
            )
            / 2**20
            for name, engine in engines.items()
        }
        scorers = {name: open_pairs(engine, device="cpu") for name, engine in engines.items()}
    settings = engines["torch"].preprocess
    enrolled, crops = (
        [picture(i, settings) for i in range(candidates)],
        [picture(1000 + i, settings) for i in range(4)],
    )
    for name, scorer in scorers.items():
        scorer.score([(first, picture(999_999, settings)) for first in enrolled])
        _, seconds = timed(
            lambda scorer=scorer: scorer.score([(first, crop) for crop in crops for first in enrolled])
        )
        print(
            f"{name}: {megabytes[name]:.1f} MB, {1000 * seconds / 4 / candidates:.2f} ms a pair", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--queries", type=int, nargs="*", default=[1, 4])
    parser.add_argument(
        "--enrolled", type=int, nargs="*", default=[], help="pictures, for the memory they take"
    )
    parser.add_argument("--graphs", action="store_true", help="a small verifier on torch and on onnxruntime")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prompt = Prompt.model_validate(yaml.safe_load(Path("configs/prompts/pair.yaml").read_text()))
    if options.graphs:
        beside_graphs(prompt, options.candidates)
        return
    tokenizer = small_tokenizer([TURNS, *prompt.model_dump().values()], ("Yes", "No"))
    library = network("qwen2_vl", tokenizer, **GEOMETRY)
    model = VisionLanguageModel(library, tokenizer, ("Yes", "No"))
    print(
        f"{sum(p.numel() for p in library.parameters()) / 1e6:.1f} M parameters, {options.candidates} candidates"
    )
    for queries in options.queries:
        compare(model, library, tokenizer, prompt, queries, options.candidates)
    if options.enrolled:
        scorer = Scorer(model, batch=BATCH, prefix_mb=10_000)
        remember(ExactPairs(PairQuestion(prompt, "rules_first"), scorer), options.enrolled)


if __name__ == "__main__":
    main()
