"""Prints what a picture costs on each engine's own runtime, and how far its answers are from the first engine's.

`python -m tests.bench.runtimes MANIFEST... --images DIR`: one process an engine in turn, one thread, the network alone,
median of blocks in processor time (user and system, all threads); answers as a share of the first's range, the worst
output of all.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from engines.compile.pictures import choose
from engines.manifest import load_manifest
from engines.preprocess import preprocess
from engines.sessions.open import open_session

PICTURES, RUNS, BLOCKS = 8, 10, 9


def main() -> None:
    """Reads the command line; measures, or starts a process for each engine and round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures that it would see")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each engine, taking turns")
    parser.add_argument("--one", action="store_true", help="measure this engine, here, and print JSON")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(_measure(chosen.manifests[0], chosen.images)))
        return
    found = [[_in_a_process(path, chosen.images) for path in chosen.manifests] for _ in range(chosen.rounds)]
    first = np.array(found[0][0]["answers"])
    for place, path in enumerate(chosen.manifests):
        costs = [each[place]["processor_ms"] for each in found]
        off = float(np.abs(np.array(found[0][place]["answers"]) - first).max() / np.ptp(first))
        print(
            f"{path.stem:24} {found[0][place]['runtime']:22} {statistics.median(costs):6.2f} ms"
            f" ({min(costs):.2f} to {max(costs):.2f})  largest difference {off:.1e} of the range"
        )


def _in_a_process(path: Path, images: Path) -> dict[str, object]:
    words = [sys.executable, "-m", "tests.bench.runtimes", "--one", str(path), "--images", str(images)]
    return dict(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def _measure(path: Path, images: Path) -> dict[str, object]:
    manifest = load_manifest(path)
    session = open_session(manifest, device="cpu")
    (spec,) = session.inputs
    pictures = list(choose([images], PICTURES).values())
    given = [preprocess([picture], manifest.preprocess)[0] for picture in pictures]
    answers = [session.run({spec.name: tensor}) for tensor in given]
    costs = []
    for _ in range(BLOCKS):
        start = time.process_time()
        for turn in range(RUNS):
            session.run({spec.name: given[turn % len(given)]})
        costs.append(1000 * (time.process_time() - start) / RUNS)
    flat = [np.concatenate([output.ravel() for output in answer.values()]).tolist() for answer in answers]
    return {
        "processor_ms": statistics.median(costs),
        "answers": flat,
        "runtime": str(getattr(session, "provider", "")),
    }


if __name__ == "__main__":
    main()
