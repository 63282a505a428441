"""A second opinion by a language model behind a server that speaks OpenAI's protocol, such as vLLM."""

import base64
import http.client
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
from pydantic import AnyHttpUrl, Field, field_validator

from engines.errors import EngineError
from engines.manifest import load_manifest
from engines.preprocess import place
from engines.prompts import Words
from pipeline.errors import OutsideError
from pipeline.messages import Verdict
from pipeline.secrets import remember
from plugins.bounded_http import Address, receive, send
from plugins.pairwise import TAU, Pair, PairJudge, PairwiseSettings, Question, weight

logger = logging.getLogger("musewatch.verifier")

_BUSY = (429, 503)
_TOP_LOGPROBS = 20  # the most that servers give without being told otherwise
_PAUSE_S = 0.2  # before a pair is asked again


class Breaker:
    """Stops asking for a while after so many calls in a row have failed.

    Args:
        most: Failures in a row.
        pause_s: The while.
        clock: Monotonic seconds.
    """

    def __init__(self, most: int, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._pause_s, self._clock = most, pause_s, clock
        self._failures, self._closed_s = 0, -math.inf

    @property
    def open(self) -> bool:
        """Whether nothing is to be asked now; after the pause one call tries again."""
        return self._failures >= self._most and self._clock() < self._closed_s

    def tell(self, worked: bool) -> None:
        """What came of a call."""
        self._failures = 0 if worked else self._failures + 1
        if self._failures >= self._most:
            self._closed_s = self._clock() + self._pause_s


class OpenAIVerifier:
    """Asks a server whether an enrolled picture and a crop show one person; see `PairJudge` for the rule.

    The question, its answers and the temperature are those of the manifest; the weights are the server's, merged. Both
    answers' log probabilities are asked for by token (`logprob_token_ids`, vLLM); a server without `/tokenize` is asked
    for its most likely tokens instead. Pictures go as PNG in the manifest's size. An answer that cannot be used leaves
    the plain distance, and the verdict is marked; when there is no usable answer at all, the call fails, and after
    some such calls the server is left alone for a while.

    Attributes:
        engine_digest: Of the manifest.
        alpha: Weight of its answers.
        tau: Temperature of its logits.
        operating_point: The manifest's, where its cut lies.
    """

    needs_pictures = True
    fuses = True
    remembers = True

    class Config(PairwiseSettings):
        """Which server, which model there, and how long it may take."""

        url: AnyHttpUrl = Field(description="Of the API, such as http://127.0.0.1:8000/v1.")
        model: str = Field(min_length=1, description="Its name on the server.")
        api_key: str = Field(default="", description="Sent as bearer token, never printed.")
        timeout_s: float = Field(default=10.0, gt=0, le=300, description="Longest time for one pair.")
        parallel: int = Field(default=8, ge=1, le=256, description="Pairs asked at the same time.")
        tries: int = Field(
            default=2, ge=1, le=10, description="Requests for a pair, while the server is away or busy."
        )
        failures: int = Field(
            default=3, ge=1, le=1000, description="Failed calls after which it is left alone..."
        )
        pause_s: float = Field(default=30.0, ge=0, le=86400, description="...for so long.")

        @field_validator("url")
        @classmethod
        def _without_user(cls, url: AnyHttpUrl) -> AnyHttpUrl:
            if url.username or url.password:
                raise ValueError("a key belongs into api_key")
            return url

    def __init__(self, config: Config) -> None:
        manifest = load_manifest(config.engine)
        prompt, self._answers = manifest.question
        if manifest.layout == "late":
            raise EngineError(
                f"engine {manifest.name}: the layout late reads each picture alone, which a server does not",
                "run it in this process: verifier: {use: lmm}",
            )
        self._words: Words = prompt.words(manifest.layout or "rules_first")
        self._system, self._preprocess = prompt.system, manifest.preprocess
        self._server = _Server(config)
        self._breaker = Breaker(config.failures, config.pause_s)
        self._pool = ThreadPoolExecutor(config.parallel, "verifier-openai")
        self._tokens: tuple[int, int] | None = None
        self._known_tokens = False
        self.engine_digest: str = manifest.digest
        self.operating_point = manifest.operating_point
        self.alpha = weight(config, manifest)
        self.tau: float = manifest.tau or TAU
        self._judge = PairJudge(config, self.alpha, self._ask, config.parallel)

    def verify(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        """For each tracklet its verdicts, nearest first.

        Raises:
            OutsideError: The server gives no answer that can be used.
        """
        return self._judge(questions)

    def forget(self) -> None:
        """Keeps no answer; what the server keeps is the server's."""
        self._judge.forget()

    def close(self) -> None:
        """Ends its threads; a request under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, pairs: Sequence[Pair]) -> list[float | None]:
        if self._breaker.open:
            raise OutsideError(f"verifier {self._server.where} is left alone for a while", "see what it says")
        answers = list(self._pool.map(self._tried, pairs)) if self._learned() else [_NO_TOKENS] * len(pairs)
        usable = [answer for answer in answers if isinstance(answer, float)]
        self._breaker.tell(bool(usable))
        problems = [answer for answer in answers if isinstance(answer, str)]
        if problems and not usable:
            raise OutsideError(
                f"verifier {self._server.where}: {problems[0]}", "look at the server and its model"
            )
        if problems:
            logger.warning(
                "verifier %s: %d of %d answers: %s",
                self._server.where,
                len(problems),
                len(pairs),
                problems[0],
            )
        return [answer if isinstance(answer, float) else None for answer in answers]

    def _learned(self) -> bool:
        """Learns the tokens of the answers, once; whether the server could be asked."""
        if not self._known_tokens:
            try:
                first, second = (self._server.token(word) for word in self._answers)
            except (OSError, http.client.HTTPException, ValueError):
                return False
            self._tokens = None if first is None or second is None else (first, second)
            self._known_tokens = True
        return True

    def _tried(self, pair: Pair) -> float | str:
        """p_no, or what is wrong with the answer."""
        try:
            return self._p_no(self._server.answer(self._request(pair)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return str(error) or type(error).__name__

    def _request(self, pair: Pair) -> dict[str, Any]:
        first, second = (_as_url(place(look.image, self._preprocess)[0]) for look in pair)
        words = self._words
        parts = [words.before + words.first, first, words.second, second, words.after]
        content = [
            part if isinstance(part, dict) else {"type": "text", "text": part} for part in parts if part
        ]
        system = [{"role": "system", "content": self._system}] if self._system else []
        by_token = {"logprob_token_ids": list(self._tokens or ()), "return_tokens_as_token_ids": True}
        return {
            "messages": [*system, {"role": "user", "content": content}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            **(by_token if self._tokens else {"top_logprobs": _TOP_LOGPROBS}),
        }

    def _p_no(self, answer: Any) -> float:
        """From an answer's log probabilities, whatever their order.

        Raises:
            ValueError: One of the two is missing or is not a number.
        """
        names = [f"token_id:{token}" for token in self._tokens] if self._tokens else list(self._answers)
        try:
            (entry,) = answer["choices"][0]["logprobs"]["content"]
            found = {each["token"]: float(each["logprob"]) for each in (*entry["top_logprobs"], entry)}
            margin = (found[names[0]] - found[names[1]]) / self.tau
        except (KeyError, IndexError, TypeError, ValueError):
            raise ValueError(f"an answer without the log probabilities of {' and '.join(names)}") from None
        if not math.isfinite(margin):
            raise ValueError("an answer whose log probabilities are no numbers")
        return 1 / (1 + math.exp(min(700.0, max(-700.0, margin))))


_NO_TOKENS = "it does not tell the tokens of the answers"


class _Server:
    """Requests to one model of a server.

    Raises:
        OSError, HTTPException: From every method: it cannot be reached, or its answer does not end.
        ValueError: From every method: it answers with something else.
    """

    def __init__(self, config: OpenAIVerifier.Config) -> None:
        self._config = config
        self._api = Address.of(str(config.url).rstrip("/"))
        self.where = self._api.where
        self._headers = {"Content-Type": "application/json"}
        if config.api_key:
            remember(config.api_key)
            self._headers["Authorization"] = f"Bearer {config.api_key}"

    def token(self, word: str) -> int | None:
        """The one token of a word; None where the server does not say."""
        target = f"{self._api.target.rstrip('/').removesuffix('/v1')}/tokenize"
        status, body = self._post(target, {"prompt": word, "add_special_tokens": False})
        if status in (404, 405, 501):
            return None
        if status != http.client.OK:
            raise ValueError(f"{status} to a question about {word!r}")
        tokens = _json(body).get("tokens")
        if not isinstance(tokens, list) or len(tokens) != 1 or not isinstance(tokens[0], int):
            raise ValueError(f"its tokenizer has no single token for {word!r}")
        return tokens[0]

    def answer(self, request: dict[str, Any]) -> Any:
        """The answer to a chat; asked again while the server is away or busy, never after other errors."""
        target = f"{self._api.target.rstrip('/')}/chat/completions"
        for left in reversed(range(self._config.tries)):
            try:
                status, body = self._post(target, request)
            except (ConnectionError, http.client.HTTPException):
                if not left:
                    raise
            else:
                if status == http.client.OK:
                    return _json(body)
                if status not in _BUSY or not left:
                    raise ValueError(f"{status} {body[:200].decode(errors='replace')}")
            time.sleep(_PAUSE_S)
        raise AssertionError("the last try returns or raises")

    def _post(self, target: str, document: dict[str, Any]) -> tuple[int, bytes]:
        connection = self._api.connection(self._config.timeout_s)
        try:
            body = json.dumps({"model": self._config.model, **document}).encode()
            deadline_s = send(connection, target, body, self._headers, self._config.timeout_s)
            answer, data = receive(connection, deadline_s)
        finally:
            connection.close()
        return answer.status, data


def _json(body: bytes) -> Any:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("an answer that is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("an answer that is no JSON object")
    return document


def _as_url(image: Any) -> dict[str, Any]:
    """A picture as part of a message."""
    _, png = cv2.imencode(".png", image)
    data = base64.b64encode(png.tobytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
