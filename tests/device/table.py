"""Runs the parts of the device check, each in a process of its own, and makes one table of what they say.

A part that fails, is killed or takes too long costs its own rows only: those that it gave before stay.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from engines.sessions.ort import gpu_works

FOLDER = Path("build/device")
ALL_S = 345.0
LIMITS_S = {"engines": 120.0, "rerank": 30.0, "torch": 50.0, "memory": 45.0, "vit": 180.0}
"""Longest time of each part, in the order in which they run; the last takes what is left."""

Row = tuple[str, str, str]


def main() -> None:
    """Prints NOT RUN and why, or the table."""
    if not gpu_works():
        print("NOT RUN: no GPU works here")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = as_markdown(run_parts(LIMITS_S, ALL_S, FOLDER))
    (FOLDER / "table.md").write_text(text, encoding="utf-8")
    print(text)


def run_parts(limits_s: Mapping[str, float], all_s: float, folder: Path) -> list[Row]:
    """Rows of part, what was measured, and the figure or the reason why there is none."""
    end = time.monotonic() + all_s
    rows: list[Row] = []
    for part, limit_s in limits_s.items():
        left_s = min(limit_s, end - time.monotonic())
        start = time.monotonic()
        found, fault = run_part(part, left_s, folder) if left_s > 1 else ([], "NOT RUN: no time was left")
        rows += [(part, what, figure) for what, figure in found]
        if fault:
            rows.append((part, "", fault))
        rows.append((part, "seconds in all", f"{time.monotonic() - start:.0f}"))
    return rows


def run_part(part: str, limit_s: float, folder: Path) -> tuple[list[tuple[str, str]], str]:
    """What a part says in its time, and why it did not come to its end; empty when it did."""
    words = [sys.executable, "-m", "tests.device.parts", part, str(folder)]
    out, err = folder / f"{part}.jsonl", folder / f"{part}.log"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(words, stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            code = process.wait(limit_s)
            fault = "" if code == 0 else f"FAILED ({code}): {_last_line(err)}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its compilers too
            process.wait()
            fault = f"CUT OFF after {limit_s:.0f} s"
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [(str(what), str(figure)) for what, figure in found], fault


def as_markdown(rows: list[Row]) -> str:
    """The table."""
    lines = ["| part | what | figure |", "|---|---|---|"]
    return "\n".join(
        [*lines, *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)]
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


if __name__ == "__main__":
    main()
