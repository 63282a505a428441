"""The pages that commands write are as those commands leave them, and links lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.tools import config_reference
from tests.tree import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.torch
def test_the_config_reference_is_up_to_date() -> None:
    assert config_reference.PAGE.read_text(encoding="utf-8") == config_reference.page(), "make reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
