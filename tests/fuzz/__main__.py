"""The long campaign: `python -m tests.fuzz KIND... -n 100000 --seed 1`; what was found lies in build/fuzz/."""

import argparse
import resource
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import play
from tests.fuzz.kinds import kinds

FOUND = Path("build/fuzz")
MEMORY = Path("/dev/shm")  # files that live for a millisecond do not wait for a disk


def main() -> int:
    """Plays the kinds one after the other, prints a table; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", nargs="*", metavar="KIND", help=f"of {', '.join(kinds(Path()))}; none = all")
    parser.add_argument("-n", type=int, default=10_000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("kind         inputs   taken  refused  found  slowest ms   per s  peak MB", flush=True)
    found = 0
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        made = kinds(Path(folder))
        for name in options.kind or made:
            outcome = play(made[name](), options.n, options.seed)
            found += len(outcome.findings)
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{name:<10}{outcome.inputs:>9}{outcome.taken:>8}{outcome.refused:>9}{sum(outcome.counts.values()):>7}"
                f"{outcome.slowest_s * 1000:>12.1f}{outcome.inputs / outcome.seconds:>8.0f}{peak_mb:>9.0f}",
                flush=True,
            )
            for i, (what, data) in enumerate(outcome.findings.items()):
                FOUND.mkdir(parents=True, exist_ok=True)
                path = FOUND / f"{name}-{options.seed}-{i}"
                path.write_bytes(data)
                print(f"  {outcome.counts[what]} x {what}: {path}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
