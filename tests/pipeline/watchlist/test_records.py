"""What is said of people: until when, in which words, and what is refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.watchlist.records import MAX_TEXT, Identity, IdentityDocument, NewText, document_of

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)


def document(**changes: object) -> dict[str, object]:
    return document_of(Identity("p1", "Åsa", "test", None, NOW)) | changes


def test_nobody_is_looked_for_from_the_moment_on_until_which_they_are() -> None:
    visitor = Identity("p1", None, None, NOW, NOW)
    assert visitor.is_valid(NOW - timedelta(microseconds=1))
    assert not visitor.is_valid(NOW)


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="identity 'p1': times must carry a time zone"):
        Identity("p1", None, None, NOW.replace(tzinfo=None), NOW)


def test_an_id_that_cannot_be_one_is_refused_with_what_can() -> None:
    with pytest.raises(ConfigError, match="'a b' cannot be the id of an identity") as refused:
        Identity("a b", None, None, None, NOW)
    assert refused.value.fix == "use 1 to 63 letters, digits, '.', '_' or '-', a letter or digit first"


def test_words_from_before_they_were_checked_are_shown_as_far_as_they_can_be() -> None:
    old = Identity("p1", "An\u202ena\nB", "x" * (MAX_TEXT + 5), NOW, NOW)
    shown = document_of(old)
    assert shown == {
        "id": "p1",
        "name": "An na B",
        "purpose": "x" * MAX_TEXT,
        "valid_until": "2026-11-21T07:00:00Z",
        "created_at": "2026-11-21T07:00:00Z",
    }
    assert IdentityDocument.model_validate_json(json.dumps(shown)).identity.name == "An na B"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "two\nlines"}, "Value error, expected one line of printable text"),
        ({"created_at": "9999-12-31T23:30:00-01:00"}, "Value error, expected a time that the calendar has in UTC, too"),
    ],
)  # fmt: skip
def test_what_nobody_can_show_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        IdentityDocument.model_validate(document(**changes))
    assert [error["msg"] for error in refused.value.errors()] == [problem]


def test_a_text_may_be_as_long_as_said() -> None:
    assert NewText("x" * MAX_TEXT, NOW).text == "x" * MAX_TEXT
