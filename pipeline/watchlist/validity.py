"""Until when somebody is looked for: times as people write them."""

from datetime import UTC, date, datetime, time

from pipeline.errors import ConfigError

_END_OF_DAY = time(23, 59, 59, tzinfo=UTC)


def parse_valid_until(text: str) -> tuple[datetime, str | None]:
    """An ISO 8601 time as UTC, and a warning where something had to be assumed.

    A date alone means the end of that day in UTC; a time without a zone is taken as UTC, with a warning.

    Raises:
        ConfigError: Not a date or a time.

    >>> parse_valid_until("2026-11-30")[0].isoformat()
    '2026-11-30T23:59:59+00:00'
    >>> parse_valid_until("2026-11-30T12:00+01:00")[0].isoformat()
    '2026-11-30T11:00:00+00:00'
    """
    try:
        return datetime.combine(date.fromisoformat(text), _END_OF_DAY), None
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            utc = moment.replace(tzinfo=UTC)
            return utc, f"{text!r} has no time zone: taken as {in_utc(utc)}"
        return moment.astimezone(UTC), None
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is not a time",
            "write 2026-12-31 (to the end of that day, UTC) or 2026-12-31T18:00:00+01:00",
        ) from None


def in_utc(moment: datetime) -> str:
    """ISO 8601 with `Z`.

    >>> in_utc(datetime(2026, 11, 30, 12, tzinfo=UTC))
    '2026-11-30T12:00:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
