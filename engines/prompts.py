"""The question that a verifier puts to a language model: one text for training, packed scoring and servers."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Layout = Literal["rules_last", "rules_first", "late"]
"""`rules_last` as published: task, pictures, rules, answer form. `rules_first` puts all words that can be said before
the pictures there, so that they and the first picture are read once for every second picture. `late` puts all words
there, and neither picture is read with the other in view: of a pair only the end of the turn is left."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is said around two pictures: before they are announced, before each, after the second."""

    before: str
    first: str
    second: str
    after: str


class Prompt(BaseModel):
    """Task, rules and answer form, and what announces each picture; an empty part is left out.

    Source: MUSE, 4.2.1 (domain-agnostic prompt), in words of our own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str = Field(default="", description="Said by the system before the user's turn.")
    task: str = Field(default="", description="What is asked.")
    rules: str = Field(default="", description="What identifies a person, and what must be ignored.")
    form: str = Field(default="", description="What the answer looks like.")
    first: str = Field(default="", description="Announces the first picture.")
    second: str = Field(default="", description="Announces the second picture.")
    cue: str = Field(default="", description="After the pictures, where the rules came before them.")

    def words(self, layout: Layout) -> Words:
        r"""The user's turn in a layout, without the marks of turns.

        >>> prompt = Prompt(task="Same?", rules="Look.", first="A:", second="B:", cue="So?")
        >>> prompt.words("rules_first")
        Words(before='Same?\nLook.', first='\nA:', second='\nB:', after='\nSo?')
        >>> prompt.words("rules_last")
        Words(before='Same?', first='\nA:', second='\nB:', after='\nLook.')
        >>> prompt.words("late")
        Words(before='Same?\nLook.\nSo?', first='\nA:', second='\nB:', after='')
        """
        opening = {
            "rules_last": (self.task,),
            "rules_first": (self.task, self.rules, self.form),
            "late": (self.task, self.rules, self.form, self.cue),
        }[layout]
        rest = {"rules_last": (self.rules, self.form), "rules_first": (self.cue,), "late": ()}[layout]
        before = _lines(*opening)
        first = _next(self.first) if before else _lines(self.first)
        return Words(before, first, _next(self.second), _next(*rest))


def _lines(*parts: str) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())


def _next(*parts: str) -> str:
    """The parts on lines after what stands before them."""
    text = _lines(*parts)
    return f"\n{text}" if text else ""
