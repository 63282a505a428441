"""The long campaign: `make faults N=200 SEED=1`, or `python -m tests.faults -n 200 --seed 1`.

Every kind of fault in turn, in an order and with moments and times that the seed decides. Results are kept as they
come in build/faults/, so that a campaign cut off goes on where it was; a table follows, of what there is.
"""

import argparse
import json
import os
import random
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from math import isinf
from pathlib import Path
from statistics import median

from tests.faults.campaign import Outcome, Play, small_disk
from tests.faults.faults import Fault, every_fault
from tests.faults.judged_site import JudgedSite
from tests.faults.machine_faults import broker_down_for_long
from tests.faults.site import Site
from tests.faults.two_machines import TwoMachines

RESULTS = Path("build/faults")
OTHER_SITES = {"member": TwoMachines, "verifier": JudgedSite}


def main() -> None:
    """Plays what is missing, then prints the table."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="injections")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="also keep the broker down for ten minutes")
    parser.add_argument(
        "--only", action="append", choices=[*every_fault()], metavar="FAULT", help="this fault; repeatable"
    )
    parser.add_argument("--table", action="store_true", help="print the table of what there is, play nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and mounts are cleared away
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"seed-{options.seed}.jsonl"
    if not options.table:
        faults = [fault for name, fault in every_fault().items() if name in (options.only or every_fault())]
        plan = [
            (f"{options.seed}-{i}", fault) for i, fault in enumerate(draw(faults, options.n, options.seed))
        ]
        if options.long:
            plan.insert(0, ("long", Fault("broker down for 10 minutes", broker_down_for_long, "broker")))
        play(plan, path)
    found = outcomes(path)
    print(table(found) if found else "nothing has been played")


def draw(faults: Sequence[Fault], n: int, seed: int) -> list[Fault]:
    """`n` faults: rounds of all that can be played here, each in an order of its own."""
    playable = [fault for fault in faults if fault.playable]
    rng = random.Random(seed)
    drawn: list[Fault] = []
    while len(drawn) < n:
        drawn += rng.sample(playable, len(playable))
    return drawn[:n]


def play(plan: Sequence[tuple[str, Fault]], path: Path) -> None:
    """Plays what has no result yet; a site that does not get well again is replaced by a new one."""
    done = {outcome.seed for outcome in outcomes(path)}
    missing = [(seed, fault) for seed, fault in plan if seed not in done]
    for kind in (Site, TwoMachines, JudgedSite):
        some = [(seed, fault) for seed, fault in missing if OTHER_SITES.get(fault.kind, Site) is kind]
        while some:
            some = some[_play_on_one_site(kind, some, path) :]


def outcomes(path: Path) -> list[Outcome]:
    """What has been played so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]


def _play_on_one_site(kind: type[Site], plan: Sequence[tuple[str, Fault]], path: Path) -> int:
    """Plays until the end or a failure; how many have a result now."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        disk = opened.enter_context(small_disk(folder / "disk", os.geteuid() == 0)) if kind is Site else None
        site = opened.enter_context(kind(folder, data_dir=disk))
        playing = Play(site)
        for number, (seed, fault) in enumerate(plan, start=1):
            try:
                outcome = playing.inject(fault, seed)
            except (TimeoutError, AssertionError) as error:
                _keep(
                    path,
                    Outcome(fault.name, seed, float("inf"), None, "", f"NOT WELL: {error}"[:2000], 0, 0, 0),
                )
                return number
            _keep(path, outcome)
            print(f"{number}/{len(plan)} {outcome}", flush=True)
    return len(plan)


def _keep(path: Path, outcome: Outcome) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")


def table(found: Sequence[Outcome]) -> str:
    """One row a kind of fault, as Markdown."""
    rows = [
        "| fault | injected | lost | doubled | out of order | recovered after, s: p50 / max | other stream, fps "
        "| /readyz | log |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in sorted({outcome.fault for outcome in found}):
        rows.append(_row(name, [outcome for outcome in found if outcome.fault == name]))
    rows.append(_row("all", found))
    return "\n".join(rows)


def _row(name: str, found: Sequence[Outcome]) -> str:
    seconds = [outcome.recover_s for outcome in found]
    rates = [outcome.spared_fps for outcome in found if outcome.spared_fps is not None]
    seen = next((outcome.seen for outcome in found if outcome.seen), "ready")
    said = next((outcome.said for outcome in found if outcome.said), "")
    sums = [sum(getattr(o, what) for o in found) for what in ("lost", "doubled", "disordered")]
    shown = ("", "") if name == "all" else (_short(seen), _short(said))
    recovered = f"{_seconds(median(seconds))} / {_seconds(max(seconds))}"
    return (
        f"| {name} | {len(found)} | {sums[0]} | {sums[1]} | {sums[2]} | {recovered} "
        f"| {f'{median(rates):.1f}' if rates else '-'} | {shown[0]} | {shown[1]} |"
    )


def _seconds(number_s: float) -> str:
    return "never" if isinf(number_s) else f"{number_s:.1f}"


def _short(text: str) -> str:
    return text.replace("|", "/")[:60].strip()


if __name__ == "__main__":
    main()
