"""Times as people write them."""

from datetime import UTC, datetime

import pytest

from pipeline.errors import ConfigError
from pipeline.watchlist.validity import in_utc, parse_valid_until


@pytest.mark.parametrize(
    ("text", "moment", "warning"),
    [
        ("2026-11-30", datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), None),
        ("2026-11-30T12:00+01:00", datetime(2026, 11, 30, 11, tzinfo=UTC), None),
        (
            "2026-11-30T12:00",
            datetime(2026, 11, 30, 12, tzinfo=UTC),
            "'2026-11-30T12:00' has no time zone: taken as 2026-11-30T12:00:00Z",
        ),
    ],
)
def test_what_is_assumed_is_said(text: str, moment: datetime, warning: str | None) -> None:
    found, said = parse_valid_until(text)
    assert (found, found.tzinfo, said) == (moment, UTC, warning)


@pytest.mark.parametrize("text", ["tomorrow", "", "2026-02-30", "9999-12-31T23:59:59-14:00"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^'{text}' is not a time") as refused:
        parse_valid_until(text)
    fix = refused.value.fix or ""
    examples = [word for word in fix.split() if word.startswith("2026-")]
    assert [in_utc(parse_valid_until(example)[0]) for example in examples] == [
        "2026-12-31T23:59:59Z",
        "2026-12-31T17:00:00Z",
    ]
    assert fix.startswith("write 2026-12-31 (to the end of that day, UTC)")
