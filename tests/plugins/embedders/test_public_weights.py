"""The table of public weights, and the page that shows it."""

from plugins.embedders.public_weights import PUBLIC, find_public
from tests.tools.licences import PAGE, public_weights, with_block


def test_every_row_says_what_to_fetch_and_on_what_terms() -> None:
    names = [known.name for known in PUBLIC]
    assert len(set(names)) == len(names), "folders are known by them"
    assert {known.use for known in PUBLIC} == {"clip", "timm", "transformers"}
    for known in PUBLIC:
        assert known.research_only == any(mark in known.licence for mark in ("NC", "research"))
        assert sum(file.endswith(".safetensors") for file in known.files) == 1
        assert find_public(known.repository) is find_public(known.name) is known
    assert find_public("somebody/else") is None


def test_the_page_shows_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_block(page, "weights", public_weights()) == page, "run make licences"
