"""A fast camera: what a source frame costs, and who is found, when every frame is looked at and when ten a second are.

`python -m tests.bench.worth FOLDER [-c CONFIG] [--rounds 2]`

FOLDER is what `musewatch world clips --fps 30` leaves. Its clips are played at real speed, all at once, by `musewatch
run`, with `max_fps: null` and with `auto` in turn; seconds are user + system of the whole process, start included.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from trainers.evaluate.demo import CONFIG


def main() -> None:
    """Prints a row a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("-c", "--config", type=Path, default=CONFIG)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    print(
        f"{'max_fps':>8} {'source frames':>13} {'inferred':>8} {'CPU ms/frame':>12} {'right':>7} {'wrong':>5}"
    )
    for _ in range(asked.rounds):
        for max_fps in (None, "auto"):
            print(row(asked.folder.resolve(), asked.config, max_fps), flush=True)


def row(folder: Path, config: Path, max_fps: str | None) -> str:
    """One run, as a line of the table."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place, "musewatch.yaml")
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
        document["data_dir"] = place
        document["sinks"] = [{"use": "jsonl", "path": f"{place}/hits.jsonl"}]
        document["streams"] = [
            {"id": clip.stem, "source": {"use": "file", "path": str(clip)}, "max_fps": max_fps}
            for clip in sorted(folder.glob("*.mp4"))
        ]
        made.write_text(yaml.safe_dump(document), encoding="utf-8")
        for picture in sorted((folder / "enrol").iterdir()):
            command(
                "watchlist",
                "add",
                "--whole",
                "--image",
                str(picture),
                *f"--id {picture.stem} -c {made}".split(),
            )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = command("run", str(made))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        scores = command("evaluate", "alerts", f"{place}/hits.jsonl", "--truth", str(folder))
    frames, inferred = (sum(each[key] for each in run["streams"]) for key in ("frames_in", "frames_inferred"))
    cpu_ms = 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / frames
    found = f"{scores['right']} of {scores['right'] + scores['missed']}"
    return f"{max_fps or 'null':>8} {frames:13} {inferred:8} {cpu_ms:12.2f} {found:>7} {scores['wrong']:5}"


def command(*words: str) -> Any:
    """What one of our commands says under `--json`."""
    done = subprocess.run(
        [Path(sys.executable).with_name("musewatch"), *words, "--json"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
