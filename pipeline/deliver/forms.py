"""Hits in other people's forms, for any sink: `as: NAME` names a projection."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.deliver.events import CONTENT_TYPE, encode
from pipeline.errors import InputError, UnsayableError, words_of
from pipeline.facts import Facts, SinkFacts, closing_of, facts
from pipeline.protocols import DeadLetters, Projection, Sink

HIT = "hit"
"""The form of the events themselves, which needs no projection."""


class Document(dict[str, Any]):
    """What a sink delivers in the place of an event; whoever writes it as JSON writes what its form wants.

    Attributes:
        event: The event that it was made of, for its id, its partition key and whatever else a sink goes by.
        content_type: Of `encoded`.
        encoded: What is delivered.
    """

    def __init__(
        self, content: Mapping[str, Any], event: Mapping[str, Any], content_type: str, encoded: bytes
    ) -> None:
        super().__init__(content)
        self.event, self.content_type, self.encoded = event, content_type, encoded


def bytes_of(document: Mapping[str, Any]) -> bytes:
    """What a sink delivers of an event or of a document in its place.

    Raises:
        ValueError: A number is not finite.
    """
    return document.encoded if isinstance(document, Document) else encode(document)


def content_type_of(document: Mapping[str, Any]) -> str:
    """The media type of `bytes_of`."""
    return document.content_type if isinstance(document, Document) else CONTENT_TYPE


def event_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event behind what a sink is handed: its id, its partition key."""
    return document.event if isinstance(document, Document) else document


def need_event(document: Mapping[str, Any], where: str) -> None:
    """Refuses what was delivered in another form, of which no event can be made again.

    Args:
        document: What was read.
        where: Where, for the message.

    Raises:
        InputError: It has not what every event has.
    """
    if "data" not in document or not isinstance(document.get("type"), str):
        raise InputError(
            f"{where}: not an event, or one in another form than as: {HIT}",
            f"give what a sink without `as`, or with as: {HIT}, has delivered",
        )


class ProjectionFacts(Facts):
    """Of a projection: its media type, and how a document becomes bytes; JSON without `encode`."""

    content_type: str
    encode: Callable[[Mapping[str, Any]], bytes] | None = None


class Form:
    """A projection behind the door: whatever it raises or gives costs the event it was asked of, and nothing else.

    Args:
        projection: The plugin.
        name: As the config has it.

    Raises:
        ConfigError: What it says of itself cannot be.
    """

    def __init__(self, projection: Projection, name: str) -> None:
        self._project, self._name = projection.project, name
        self._facts = facts(ProjectionFacts, projection, f"projection {name!r}")

    def document(self, event: Mapping[str, Any]) -> Document | None:
        """The event in this form; None where the form has no words for it.

        Raises:
            UnsayableError: The projection fails.
        """
        try:
            content = self._project(event)
            if content is None:
                return None
            return Document(content, event, self._facts.content_type, (self._facts.encode or encode)(content))
        except Exception as error:
            said = words_of(error)
            reason = said if isinstance(error, UnsayableError) else f"{type(error).__name__}: {said}"
            raise UnsayableError(f"the event cannot be said as {self._name}: {reason}") from error


class ProjectedSink:
    """A sink that is handed its events in another form; those for which the form has no words are left out.

    Args:
        sink: Where to.
        form: In which form.
    """

    def __init__(self, sink: Sink, form: Form) -> None:
        self._sink, self._form = sink, form

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """All of them, or none where one cannot be said.

        Raises:
            UnsayableError: The projection fails on one.
            Exception: Whatever the sink raises.
        """
        documents = [document for event in events if (document := self._form.document(event)) is not None]
        self._sink.publish(documents)

    @property
    def start(self) -> Callable[[], object] | None:
        """The sink's own, where it announces itself."""
        return facts(SinkFacts, self._sink, "sink").start

    def close(self) -> None:
        """Closes the sink."""
        close = closing_of(self._sink)
        if close is not None:
            close()


class ProjectedDeadLetters(ProjectedSink):
    """One whose sink has a place for what was refused: the event goes there as it was.

    Args:
        sink: Where to.
        form: In which form.
        dead: The sink's place for what was refused.
    """

    def __init__(self, sink: Sink, form: Form, dead: DeadLetters) -> None:
        super().__init__(sink, form)
        self._dead = dead

    def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
        """Puts a refused event there.

        Raises:
            OutsideError: It is not there.
        """
        self._dead.set_aside(event, reason)


def projected(sink: Sink, form: Form) -> Sink:
    """The sink, handed its events in a form."""
    if isinstance(sink, DeadLetters):
        return ProjectedDeadLetters(sink, form, sink)
    return ProjectedSink(sink, form)
