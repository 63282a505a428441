"""A verifier's question about two pictures, as the parts that its scorers read."""

from engines.lmm.parts import Parts
from engines.lmm.pictures import Picture
from engines.prompts import Layout, Prompt

FIRST_LAYOUT: Layout = "rules_first"


class PairQuestion:
    """Puts a prompt around two pictures, in the turns of a Qwen chat.

    Args:
        prompt: The words.
        layout: Where its rules stand.

    Attributes:
        opening: All that is said before any picture is announced.
        announces_first: What comes between that and the first picture.
        announces_second: What comes between the pictures.
        after: What comes after both, and makes the model answer.
    """

    def __init__(self, prompt: Prompt, layout: Layout | None) -> None:
        words = prompt.words(layout or FIRST_LAYOUT)
        system = f"<|im_start|>system\n{prompt.system}<|im_end|>\n" if prompt.system else ""
        self.opening = f"{system}<|im_start|>user\n{words.before}"
        self.announces_first, self.announces_second = words.first, words.second
        self.after = f"{words.after}<|im_end|>\n<|im_start|>assistant\n"

    def until_first(self, picture: Picture) -> Parts:
        """All up to the second picture, which is the same for whatever the first is compared with."""
        return [self.opening + self.announces_first, picture, self.announces_second]

    def from_second(self, picture: Picture) -> Parts:
        """The rest: the second picture, and what makes the model answer."""
        return [picture, self.after]
