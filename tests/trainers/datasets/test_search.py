"""Searches read from a tree and from a table, as people and spreadsheets leave them."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from tests.trainers.datasets.trees import touch
from trainers.datasets.search import listed, market_tree

ROWS = "path,split,id,camera,clothes\na.jpg,query,1,1,3\nb.jpg,gallery,1,2,\n"


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode("utf-8-sig"),
        ROWS.replace(",", ";").encode(),
        ROWS.replace(",", "\t").replace("\n", "\r\n").encode(),
    ],
    ids=["byte order mark", "semicolons", "tabs"],
)
def test_a_table_as_spreadsheets_save_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    search = listed(tmp_path / "t.csv")
    assert [(s.path, s.identity, s.camera, s.clothes) for s in search.query] == [
        (tmp_path / "a.jpg", 1, 1, 3)
    ]
    assert [(s.identity, s.camera, s.clothes) for s in search.gallery] == [(1, 2, -1)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROWS.encode("utf-16"), "is no UTF-8 text"),
        (ROWS.replace(",1,1,", f",{2**64},1,").encode(), "line 2: .* is too large for a label"),
        (ROWS.replace("gallery", "probe").encode(), "line 3: 'probe'"),
        (b"", "has no column path"),
    ],
    ids=["UTF-16", "huge", "split", "empty"],
)
def test_a_table_that_says_something_else_is_refused_with_its_line(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        listed(tmp_path / "t.csv")


def test_a_tree_holds_pictures_of_any_kind_and_no_others(tmp_path: Path) -> None:
    touch(tmp_path, "query/0001_c1_1.png", "query/Thumbs.db", "bounding_box_test/0001_c2s1_000151_01.jpeg")
    touch(tmp_path, "bounding_box_test/0000_c2.BMP")
    search = market_tree(tmp_path)
    assert [(s.identity, s.camera) for s in search.query] == [(1, 1)]
    assert [(s.identity, s.camera) for s in search.gallery] == [(0, 2), (1, 2)]
    touch(tmp_path, "query/p0002_c1_1.png", "query/p0003_c1_1.png")
    with pytest.raises(InputError, match=r"names like query/0001_c1s1.*found 2 others: .*p0002_c1_1\.png"):
        market_tree(tmp_path)
