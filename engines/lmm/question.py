"""A verifier's question about two pictures, as the two parts that its scorer reads."""

from engines.lmm.pack import Parts
from engines.lmm.pictures import Picture
from engines.prompts import Layout, Prompt

FIRST_LAYOUT: Layout = "rules_first"


class PairQuestion:
    """Puts a prompt around two pictures, in the turns of a Qwen chat.

    Args:
        prompt: The words.
        layout: Where its rules stand.
    """

    def __init__(self, prompt: Prompt, layout: Layout | None) -> None:
        words = prompt.words(layout or FIRST_LAYOUT)
        system = f"<|im_start|>system\n{prompt.system}<|im_end|>\n" if prompt.system else ""
        self._before = f"{system}<|im_start|>user\n{words.before}"
        self._between = words.between
        self._after = f"{words.after}<|im_end|>\n<|im_start|>assistant\n"

    def until_first(self, picture: Picture) -> Parts:
        """All up to the second picture, which is the same for whatever the first is compared with."""
        return [self._before, picture, self._between]

    def from_second(self, picture: Picture) -> Parts:
        """The rest: the second picture, and what makes the model answer."""
        return [picture, self._after]
