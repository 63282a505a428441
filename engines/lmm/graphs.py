"""A verifier as graphs that onnxruntime runs: without torch, and with one question and one size of pictures."""

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineFileError
from engines.files import checked_network
from engines.lmm.answers import Pair, numbers
from engines.lmm.cache import ByteCache
from engines.lmm.pictures import PatchGrid, Picture, patches
from engines.manifest import Manifest
from engines.sessions.base import Device
from engines.sessions.ort import OrtSession

VISION, QUESTION = ".vision.onnx", ".question.onnx"
"""How the names of the tower's and the question's files end; the decoder's is the manifest's `file`."""
STRETCHES = ("opening", "first", "second", "rest")
"""What is read one after the other: words, each picture, and what is left of a pair. Where the second picture is part
of what is left, there is no stretch of its own."""
MB = 2**20
Floats = NDArray[np.float32]


def question_digest(manifest: Manifest) -> NDArray[np.uint8]:
    """(32,) of what a question's file was made for: words, answers, layout, size of the pictures."""
    prompt, answers = manifest.question
    said = repr((prompt.model_dump(), answers, manifest.layout, manifest.preprocess.size))
    return np.frombuffer(hashlib.sha256(said.encode()).digest(), np.uint8)


class OnnxPairs:
    """Pairs of pictures scored by onnxruntime; see `PairScorer`.

    The question's words are constants of a graph of their own, as vectors with their places, so that neither a
    tokenizer nor a table of all words is needed. Kept are vision tokens by picture, and what each picture leaves
    behind.

    Args:
        manifest: Its `file` is the decoder; the others are found by the ends of their names.
        device: `auto` takes a GPU when there is one that works.
        batch: Pairs in one run.
        vision_mb: Memory for vision tokens.
        read_mb: Memory for keys and values of pictures.

    Attributes:
        batch: Pairs in one run.

    Raises:
        EngineFileError: A file is missing or damaged, or the question is not the one of the manifest.
    """

    def __init__(
        self, manifest: Manifest, *, device: Device = "auto", batch: int, vision_mb: int, read_mb: int
    ) -> None:
        checked_network(manifest)
        self._tower = _session(manifest, VISION, device)
        self._decoder = _session(manifest, "", device)
        self._words = cast("dict[str, Floats]", _session(manifest, QUESTION, "cpu").run({}))
        if (self._words["made_for"] != question_digest(manifest)).any():
            raise EngineFileError(
                f"engine {manifest.name}: its graphs were made for another question or size",
                "export it again: musewatch engines export",
            )
        patch_px, merge, frames = (int(each) for each in self._words["grid"])
        self._grid = PatchGrid(patch_px, merge, frames)
        self._late = "second_turn" in self._words
        self.batch = batch
        self._seen: ByteCache[Floats] = ByteCache(vision_mb * MB)
        self._read: ByteCache[Floats] = ByteCache(read_mb * MB)
        self._opening = self._run("opening", [None], [[]])[1][:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps for later."""
        return self._seen.nbytes + self._read.nbytes

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """(n, 2) float32 logits of the two answers.

        Raises:
            OutputError: A logit is not a number.
        """
        logits = np.zeros((len(pairs), 2), np.float32)
        for start in range(0, len(pairs), self.batch):
            some = pairs[start : start + self.batch]
            logits[start : start + len(some)] = self._scored(some)
        return numbers(logits)

    def forget(self, picture: Picture) -> None:
        """Keeps nothing of a picture."""
        self._seen.drop(picture.key)
        for stretch in STRETCHES:
            self._read.drop(stretch.encode() + picture.key)

    def clear(self) -> None:
        """Keeps nothing of any picture."""
        self._seen.clear()
        self._read.clear()

    def _scored(self, pairs: Sequence[Pair]) -> Floats:
        firsts, seconds = zip(*pairs, strict=True)
        own = self._memories("first", firsts)
        if self._late:
            others = self._memories("second", seconds)
            past = [[self._opening, *both] for both in zip(own, others, strict=True)]
            return self._run("rest", [None] * len(pairs), past)[0]
        tokens = self._tokens(seconds)
        return self._run("rest", tokens, [[self._opening, each] for each in own])[0]

    def _memories(self, stretch: str, pictures: Sequence[Picture]) -> list[Floats]:
        """What pictures leave behind, each read after the opening."""
        keys = [stretch.encode() + picture.key for picture in pictures]
        here = {key: self._read.get(key) for key in keys}
        new = list({key: each for key, each in zip(keys, pictures, strict=True) if here[key] is None}.items())
        if new:
            tokens = self._tokens([picture for _, picture in new])
            _, left = self._run(stretch, tokens, [[self._opening]] * len(new))
            for row, (key, _) in enumerate(new):
                here[key] = read = left[:, row].copy()
                self._read.put(key, read)
        return [memory for key in keys if (memory := here[key]) is not None]

    def _tokens(self, pictures: Sequence[Picture]) -> list[Floats]:
        """(n, D) vision tokens of each picture; those not kept are looked at together."""
        wanted = {picture.key: picture for picture in pictures}
        here = {key: self._seen.get(key) for key in wanted}
        new = [key for key, tokens in here.items() if tokens is None]
        if new:
            cut = np.stack([patches(wanted[key].pixels, self._grid) for key in new])
            for key, tokens in zip(new, self._tower.run({"patches": cut})["tokens"], strict=True):
                here[key] = kept = tokens.copy()
                self._seen.put(key, kept)
        return [tokens for each in pictures if (tokens := here[each.key]) is not None]

    def _run(
        self, stretch: str, shown: Sequence[Floats | None], past: Sequence[Sequence[Floats]]
    ) -> tuple[Floats, Floats]:
        """Logits (B, 2), and what is left behind (2 * layers, B, heads, n, width), of a stretch after each past."""
        before, after, turn = (self._words[f"{stretch}_{part}"] for part in ("before", "after", "turn"))
        rows = [[before, tokens, after] if tokens is not None else [before, after] for tokens in shown]
        feeds = {
            "vectors": np.stack([np.concatenate(row) for row in rows]),
            "cos": turn[0],
            "sin": turn[1],
            "past": self._stacked(past),
        }
        answer = self._decoder.run(feeds)
        return answer["logits"], answer["memory"]

    def _stacked(self, past: Sequence[Sequence[Floats]]) -> Floats:
        """(2 * layers, B, heads, P, width), each row its stretches one after the other."""
        (shape,) = (spec.shape for spec in self._decoder.inputs if spec.name == "past")
        layers, heads, width = (cast("int", shape[i]) for i in (0, 2, 4))
        length = sum(each.shape[2] for each in past[0])
        whole = np.empty((layers, len(past), heads, length, width), np.float32)
        for row, stretches in enumerate(past):
            start = 0
            for each in stretches:
                whole[:, row, :, start : start + each.shape[2]] = each
                start += each.shape[2]
        return whole


def _session(manifest: Manifest, ending: str, device: Device) -> OrtSession:
    """One of the graphs, from bytes whose digest is right."""
    if not ending:
        path, digest = manifest.path, manifest.sha256
    else:
        found = [(path, digest) for path, digest in manifest.paths.items() if path.name.endswith(ending)]
        if len(found) != 1:
            raise EngineFileError(
                f"engine {manifest.name}: {len(found)} of its files end in {ending}, not one",
                "export it again",
            )
        ((path, digest),) = found
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise EngineFileError(f"engine {manifest.name}: {path} is being changed", "wait until it is whole")
    return OrtSession(data, manifest.name, device=device)
