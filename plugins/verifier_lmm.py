"""A second opinion by a language model in this process: the mu-distance."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from engines.lmm.answers import p_no
from engines.lmm.pairs import BATCH, READ_MB, VISION_MB, open_pairs
from engines.lmm.pictures import Picture, prepare
from engines.manifest import load_manifest
from pipeline.messages import Verdict
from plugins.pairwise import TAU, Look, Pair, PairJudge, PairwiseSettings, Question, weight


class LmmVerifier:
    """Asks a Qwen-VL model whether an enrolled picture and a crop show one person; see `PairJudge` for the rule.

    What an enrolled picture makes of the model is kept for the crops to come, as far as memory is given.

    Attributes:
        engine_digest: Of the weights and of the question.
        alpha: Weight of its answers.
        tau: Temperature of its logits.
        operating_point: The manifest's, where its cut lies.

    Raises:
        EngineError: The engine cannot be used; nothing has started.
    """

    needs_pictures = True
    fuses = True
    remembers = True

    class Config(PairwiseSettings):
        """Which engine, which pairs, and how it is run."""

        batch: int = Field(
            default=BATCH,
            ge=1,
            le=1024,
            description="Pairs in one run; of the layout late eight times as many.",
        )
        device: Literal["auto", "cpu", "cuda"] = Field(
            default="auto",
            description="auto takes a GPU when there is one; torch computes in bfloat16 there.",
        )
        vision_mb: int = Field(
            default=VISION_MB, ge=0, le=10**6, description="Memory for pictures that were looked at."
        )
        prefix_mb: int = Field(
            default=READ_MB, ge=0, le=10**6, description="Memory for enrolled pictures as read."
        )

    def __init__(self, config: Config) -> None:
        manifest = load_manifest(config.engine)
        self._scorer = open_pairs(
            manifest,
            device=config.device,
            batch=config.batch,
            vision_mb=config.vision_mb,
            read_mb=config.prefix_mb,
        )
        self._preprocess = manifest.preprocess
        self.engine_digest: str = manifest.digest
        self.operating_point = manifest.operating_point
        self.alpha = weight(config, manifest)
        self.tau: float = manifest.tau or TAU
        self._judge = PairJudge(config, self.alpha, self.p_no, self._scorer.batch)

    def verify(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        """For each tracklet its verdicts, nearest first.

        Raises:
            OutputError: The network gives something that is not a number.
        """
        return self._judge(questions)

    def forget(self) -> None:
        """Keeps nothing of any picture that was looked at."""
        self._judge.forget()
        self._scorer.clear()

    def p_no(self, pairs: Sequence[Pair]) -> list[float]:
        """Probability that the pictures of each pair show two people.

        Raises:
            PictureError: A picture has no pixels.
        """
        pictures = {look.key: look for pair in pairs for look in pair}
        ready = {key: self._prepared(look) for key, look in pictures.items()}
        asked = [(ready[first.key], ready[second.key]) for first, second in pairs]
        try:
            logits = self._scorer.score(asked)
        except Exception:
            self._scorer.clear()  # the memory that was not enough is full of what it keeps
            raise
        return [float(p) for p in p_no(logits, self.tau)]

    def _prepared(self, look: Look) -> Picture:
        return prepare([look.image], self._preprocess)[0]
