"""A missing server skips a test at a desk and fails it in CI, and names the command that brings it."""

import pytest

from tests.servers import availability


@pytest.fixture
def missing(monkeypatch):
    program = availability.Outside(found=lambda: False, install="apt-get install -y no-such-program")
    monkeypatch.setitem(availability.OUTSIDE, "no-such-program", program)
    monkeypatch.delenv("CI", raising=False)
    return "no-such-program"


def test_at_a_desk_it_is_skipped(missing):
    with pytest.raises(
        pytest.skip.Exception, match="needs no-such-program: apt-get install -y no-such-program"
    ):
        availability.need(missing)


def test_in_ci_it_fails(missing, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install"):
        availability.need(missing)


def test_what_is_there_passes(monkeypatch):
    monkeypatch.setitem(availability.OUTSIDE, "here", availability.Outside(found=lambda: True, install=""))
    availability.need("here")
