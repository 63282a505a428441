"""Hours of four streams at 25 frames a second, with faults: what grows? `make soak MINUTES=30`.

Leaves soak.csv and soak.png in build/soak: memory, file handles and threads of one `musewatch run`, the age of the
frames it looks at, and what waits in its outbox. In the end the topic is held to the outbox.
"""

import argparse
import csv
import random
import signal
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.campaign import Play
from tests.faults.faults import Fault, every_fault
from tests.faults.ledger import left_open
from tests.faults.site import Site

OUT = Path("build/soak")
EVERY_S = 2.0
BETWEEN_FAULTS_S = 45.0
KINDS = ("rtsp", "broker", "topic")
ANEW = ("broker down at start", "run and broker killed")  # these start the program again
FIELDS = ("seconds", "memory_mb", "files", "threads", "frame_age_ms", "outbox", "fault")


class Sampler(threading.Thread):
    """Looks at the program every `EVERY_S`.

    Attributes:
        fault: What is being played at present.
    """

    def __init__(self, site: Site, path: Path) -> None:
        super().__init__(daemon=True)
        self.fault = ""
        self._site, self._path = site, path
        self._over = threading.Event()
        self._start_s = time.monotonic()
        self._age = (0.0, 0.0)

    def run(self) -> None:
        with self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(FIELDS)
            while not self._over.wait(EVERY_S):
                writer.writerow(self._sample())
                file.flush()

    def stop(self) -> None:
        """Ends it."""
        self._over.set()
        self.join()

    def _sample(self) -> list[object]:
        process = Path(f"/proc/{self._site.pid}")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        return [
            round(time.monotonic() - self._start_s, 1),
            round(int(status["VmRSS"].split()[0]) / 1024, 1),
            len(list((process / "fd").iterdir())),
            int(status["Threads"]),
            self._age_ms(),
            int(self._site.metric("musewatch_outbox_depth")),
            self.fault,
        ]

    def _age_ms(self) -> float | None:
        """Mean age of the frames of all streams since the last look; None when there were none."""
        parts = [
            sum(
                self._site.metric(f"musewatch_frame_age_seconds_{part}", stream=s)
                for s in ("door", *self._site.yards)
            )
            for part in ("sum", "count")
        ]
        (before_s, before_n), self._age = self._age, (parts[0], parts[1])
        frames = parts[1] - before_n
        return round((parts[0] - before_s) / frames * 1e3, 1) if frames > 0 else None


def main() -> None:
    """Plays faults for the time given, then draws."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and mounts are cleared away
    OUT.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        site = opened.enter_context(Site(folder, fps=25, yards=3))
        soak(site, options.minutes * 60, options.seed)
    draw(OUT / "soak.csv", OUT / "soak.png")
    print(f"{OUT / 'soak.csv'}, {OUT / 'soak.png'}")


def soak(site: Site, duration_s: float, seed: int) -> None:
    """Samples while faults come and go; prints what was found in the end."""
    play = Play(site)
    sampler = Sampler(site, OUT / "soak.csv")
    sampler.start()
    rng = random.Random(seed)
    until_s = time.monotonic() + duration_s
    faults: list[Fault] = []
    while time.monotonic() + BETWEEN_FAULTS_S < until_s:
        time.sleep(BETWEEN_FAULTS_S)
        faults = faults or rng.sample(_faults(), len(_faults()))
        sampler.fault = faults[-1].name
        print(play.inject(faults.pop(), f"soak-{rng.random()}"), flush=True)
        sampler.fault = ""
    time.sleep(max(0.0, until_s - time.monotonic()))
    sampler.stop()
    code = site.stop()
    published = site.topic.read()
    print(f"exit {code}; {site.audit()}; left open: {left_open(published)}")


def _faults() -> list[Fault]:
    """Those that one program lives through."""
    faults = every_fault().items()
    return [f for name, f in faults if f.kind in KINDS and f.playable and name not in ANEW]


def draw(table: Path, picture: Path) -> None:
    """One strip a figure, faults shaded."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    minutes = [float(row["seconds"]) / 60 for row in rows]
    strips = FIELDS[1:-1]
    figure, axes = plt.subplots(len(strips), sharex=True, figsize=(10, 9), layout="constrained")
    for axis, name in zip(axes, strips, strict=True):
        axis.plot(minutes, [float(row[name] or "nan") for row in rows], linewidth=1)
        axis.set_ylabel(name.replace("_", " "))
        axis.set_ylim(bottom=0)
        axis.fill_between(
            minutes, 0, 1, where=[bool(row["fault"]) for row in rows], alpha=0.15, color="tab:red",
            transform=axis.get_xaxis_transform(), linewidth=0,
        )  # fmt: skip
    axes[-1].set_xlabel("minutes (red: a fault is on)")
    figure.savefig(picture, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
