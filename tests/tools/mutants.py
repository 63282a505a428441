"""Breaks the code on purpose, one place at a time, and counts how often a test notices.

    pip install mutmut==3.8.1
    python -m tests.tools.mutants -n 1000 --seed 1

draws mutants of decision, delivery, following and watchlist by the seed, has mutmut run them (its settings are in
pyproject.toml, what it says goes to mutants/mutmut.log), and prints the killed by room and every one that lived.
`--again` runs only those that an earlier run did not see killed. Mutants that change nothing anybody could notice are
listed in docs/experiments.md by the names that are printed here, and not counted; a name goes with the function as
it was, so look again when that has changed.
"""

import argparse
import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

FOLDER = Path("mutants")
LOG = FOLDER / "mutmut.log"
LIST = Path("docs/experiments.md")
KILLED, TIMED_OUT, UNTESTED = {1, 3}, {-24, 24, 36, 152, 255}, {5, 33}
AT_ONCE = 250  # names on one command line


def exit_codes() -> dict[str, int | None]:
    """What became of every mutant, by mutmut's name; None = not run yet."""
    codes: dict[str, int | None] = {}
    for path in sorted(FOLDER.glob("pipeline/**/*.meta")):
        codes |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return codes


def short(name: str) -> str:
    """Room, file, class, function and number.

    >>> short("pipeline.deliver.outbox.xǁOutboxǁ_insert__mutmut_3")
    'deliver.outbox.Outbox._insert#3'
    >>> short("pipeline.follow.geometry.x_area__mutmut_12")
    'follow.geometry.area#12'
    """
    place, number = name.removeprefix("pipeline.").split("__mutmut_")
    return f"{place.replace('.xǁ', '.').replace('ǁ', '.').replace('.x_', '.')}#{number}"


def equivalent() -> set[str]:
    """Short names of the mutants that are listed as no change."""
    return set(re.findall(r"`([\w.]+#\d+)`", LIST.read_text(encoding="utf-8")))


def fate(code: int | None) -> str:
    """What an exit code of mutmut's means."""
    if code in KILLED | TIMED_OUT:
        return "killed"
    if code is None:
        return "not run"
    return "not tested" if code in UNTESTED else "lived"


def run(names: list[str]) -> None:
    """Has mutmut run these; it keeps the results."""
    with LOG.open("a", encoding="utf-8") as log:
        for at in range(0, len(names), AT_ONCE):
            command = [
                sys.executable,
                "-m",
                "mutmut",
                "run",
                "--max-children",
                "1",
                *names[at : at + AT_ONCE],
            ]
            subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT)


def table(drawn: list[str], codes: dict[str, int | None]) -> str:
    """The results as Markdown."""
    same = equivalent()
    rooms: dict[str, Counter[str]] = {}
    lived = []
    for name in drawn:
        what = fate(codes.get(name))
        if what != "killed" and short(name) in same:
            what = "equivalent"
        rooms.setdefault(name.split(".")[1], Counter())[what] += 1
        if what not in {"killed", "equivalent"}:
            lived.append(f"- `{short(name)}` {what}: mutmut show {name}")
    lines = ["| room | drawn | equivalent | killed | share of the others |", "|---|---:|---:|---:|---:|"]
    for room, fates in [*sorted(rooms.items()), ("all", sum(rooms.values(), Counter()))]:
        others = fates.total() - fates["equivalent"]
        share = 100 * fates["killed"] / others
        lines.append(
            f"| {room} | {fates.total()} | {fates['equivalent']} | {fates['killed']} | {share:.1f} % |"
        )
    return "\n".join([*lines, "", *lived])


def main() -> None:
    """Draws, runs, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=1000, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--again", action="store_true", help="run only what an earlier run did not see killed"
    )
    parser.add_argument("--table", action="store_true", help="only print what an earlier run found")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if not options.table:
        run(["nothing.is.called.this"])  # makes the mutants and learns which test reaches which
    codes = exit_codes()
    drawn = sorted(random.Random(options.seed).sample(sorted(codes), min(options.n, len(codes))))
    if not options.table:
        same = equivalent() if options.again else set()
        left = [name for name in drawn if fate(codes[name]) != "killed" and short(name) not in same]
        run(left if options.again else drawn)
    print(f"seed {options.seed}: {len(drawn)} of {len(codes)} mutants\n\n{table(drawn, exit_codes())}")


if __name__ == "__main__":
    main()
