"""Whoever keeps a trace of a person: asked where it is, and told to forget it."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Holder(Protocol):
    """Keeps something of people who are looked for.

    A proof of erasure asks every holder; what none of them tells, nobody erases.
    """

    def traces(self, identity_id: str) -> list[str]:
        """What is kept of somebody, a line each: where, and what; nothing in it that shows or describes them.

        Raises:
            OutsideError: It cannot be read.
        """
        ...

    def forget(self, identity_id: str) -> None:
        """Erases all of that, from the disk too; afterwards `traces` is empty. Nobody else's traces go.

        Raises:
            OutsideError: It cannot be written; some of it may be there still.
        """
        ...
