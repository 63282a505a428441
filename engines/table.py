"""Rows for people, in columns."""

import sys
from collections.abc import Sequence
from typing import Any


def print_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Writes a table to stdout.

    Args:
        columns: Its head; the keys of each row.
        rows: None in one is shown as a dash.
    """
    lines = [columns, *(["-" if row[name] is None else str(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
