"""`musewatch demo`: finds six enrolled people in three simulated streams.

Everything is real but the cameras: the config is `configs/demo.yaml`, its clips are pushed over RTSP at their own
rate, and the hits are counted against what the simulation knows.
"""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.common import ANSWER_IS_NO
from pipeline.config import Config, StreamConfig, choose_sink, load_config
from pipeline.desk.check import check
from pipeline.desk.desk import open_desk
from pipeline.errors import ConfigError, InputError, OutsideError
from pipeline.output import JsonOption, console, print_json, say
from pipeline.runner.runner import Runner, RunSummary, Status
from pipeline.settings import choose
from trainers.evaluate.alerts import COUNTS, figures, print_rows, rows_by_identity
from trainers.evaluate.demo_report import Run, write_demo_report
from trainers.evaluate.enrolling import Photo, enrol_photo
from trainers.evaluate.hits_file import hit_of, read_events
from trainers.evaluate.push import Cameras
from trainers.evaluate.truth import clip_facts, read_truth
from trainers.metrics.alerts import AlertScores, score_alerts

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
PEOPLE = "people.json"
OPENING_S = 60.0  # longest that the streams may take beyond the clips themselves
SAY_EVERY_S = 5.0

app = typer.Typer(help="Find six enrolled people in three simulated streams, and write a report.")


@app.callback(invoke_without_command=True)
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go.")] = Path("build/demo"),
    as_json: JsonOption = False,
) -> int:
    """Find six enrolled people in three simulated streams, and write a report."""
    start_s = time.monotonic()
    clips, config = over_rtsp(load_demo(), out)
    prepare(out, config)
    say(f"1/4  check {CONFIG.name}: engines, sinks, three clips")
    _check()
    folder = next(iter(clips.values())).parent
    photos = read_photos(folder)
    say(f"2/4  enrol {', '.join(photo.name for photo in photos)}")
    enrol_all(config, photos)
    say(f"3/4  watch {len(clips)} streams over RTSP for {_longest_s(clips):.0f} s, as they were recorded")
    watched = watch(config, clips, start_s)
    say("4/4  count, and look again at who was missed")
    truth = read_truth(folder)
    events = read_events(out / "hits.jsonl")
    scores = score_alerts([hit_of(event) for event in events], truth, {photo.id for photo in photos})
    run = Run(config, CONFIG, clips, truth, tuple(photos), tuple(events), scores, watched)
    notice = write_demo_report(out / "report.html", run, lambda: time.monotonic() - start_s)
    summary = summarise(scores, time.monotonic() - start_s)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(summary)
    else:
        show_hits(run)
    say("\n".join(["", *notice, ""]))
    say(f"report: {(out / 'report.html').resolve()}")
    return 0 if scores.right else ANSWER_IS_NO


def load_demo() -> Config:
    """The demo's config.

    Raises:
        InputError: The checkout is not there; the clips are not part of an installed package.
    """
    if not CONFIG.is_file():
        raise InputError(
            f"the demo's clips are not at {CONFIG.parent}", "run it from a checkout of the repository"
        )
    return load_config(CONFIG)


def over_rtsp(config: Config, out: Path) -> tuple[dict[str, Path], Config]:
    """The clips by stream id, and the config with each stream listening for a camera instead of reading its clip."""
    clips = {
        stream.id: (config.base_dir / stream.source.settings["path"]).resolve() for stream in config.streams
    }
    streams = [
        StreamConfig(
            id=name, source=choose("rtsp", url=f"rtsp://127.0.0.1:{port}/{name}", listen=True, finite=True)
        )
        for name, port in zip(clips, free_ports(len(clips)), strict=True)
    ]
    changes = {
        "streams": tuple(streams),
        "data_dir": (out / "data").resolve(),
        "sinks": (choose_sink("jsonl", path=str((out / "hits.jsonl").resolve())),),
    }
    return clips, config.model_copy(update=changes)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def prepare(out: Path, config: Config) -> None:
    """Makes the folder, removes what an earlier demo left there, and begins an empty file of hits."""
    out.mkdir(parents=True, exist_ok=True)
    results = [out / name for name in ("hits.jsonl", "summary.json", "report.html")]
    databases = [*config.data_dir.glob("watchlist.db*"), *config.data_dir.glob("outbox.db*")]
    for path in [*results, *databases, *(config.data_dir / "evidence").glob("*.jpg")]:
        path.unlink(missing_ok=True)
    (out / "hits.jsonl").touch()


def read_photos(folder: Path) -> list[Photo]:
    """The people that have a picture in `enrol/`, with their names from `people.json`.

    Raises:
        InputError: `people.json` is missing or damaged.
    """
    try:
        people = json.loads((folder / PEOPLE).read_text(encoding="utf-8"))
        names = {str(person["id"]): str(person["name"]) for person in people}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / PEOPLE} cannot be read: {error}") from None
    pictures = {path.stem: path for path in (folder / "enrol").glob("*.jpg")}
    return [Photo(who, name, pictures[who]) for who, name in names.items() if who in pictures]


def enrol_all(config: Config, photos: list[Photo]) -> None:
    """Fills the watchlist.

    Raises:
        InputError: A picture was refused.
    """
    with open_desk(config) as desk:
        for photo in photos:
            for warning in enrol_photo(desk, photo):
                say(f"     {warning}")


def watch(config: Config, clips: dict[str, Path], start_s: float) -> RunSummary:
    """Runs the main job while the clips are pushed to it, until they have ended.

    Raises:
        OutsideError: A clip did not arrive whole, or its hits did not reach the file.
    """
    urls = {stream.source.settings["url"]: clips[stream.id] for stream in config.streams}
    with Cameras(urls) as cameras:
        summary = Runner(config).run(_longest_s(clips) + OPENING_S, _progress(start_s))
        failed = cameras.failed()
    if summary.failure is not None:
        raise summary.failure
    if failed:
        raise OutsideError(f"the clips for {', '.join(failed)} did not arrive whole", "run the demo again")
    if summary.outbox:
        raise OutsideError(f"{summary.outbox} events still wait in the outbox")
    return summary


def show_hits(run: Run) -> None:
    """Every hit and everyone missed, then the figures, on stdout."""
    names = {photo.id: photo.name for photo in run.photos}
    distances = {event["data"]["hit_id"]: event["data"]["decision"]["distance"] for event in run.events}
    rows = [
        {
            "hit on": names.get(judged.hit.identity_id, judged.hit.identity_id),
            "stream": judged.hit.stream_id,
            "opened": f"{judged.opened_pts_s:.1f} s",
            "distance": f"{distances[judged.hit.hit_id]:.2f}",
            "": judged.judgement.value,
        }
        for judged in sorted(run.scores.hits, key=lambda judged: judged.opened_pts_s)
    ]
    print_rows(rows, ("hit on", "stream", "opened", "distance", ""))
    missed = [item.appearance for item in run.scores.appearances if item.missed]
    lines = [
        f"missed: {names[m.person_id]}, {m.stream_id}, {m.start_s:.1f} to {m.end_s:.1f} s" for m in missed
    ]
    console().print("\n".join(["", *lines, *figures(run.scores)]))


def summarise(scores: AlertScores, seconds: float) -> dict[str, Any]:
    """The document `summary.json`; everybody was enrolled together."""
    rows = [
        {"id": row["id"], "clip": row["clip"], "enrolled": "together", **{key: row[key] for key in COUNTS}}
        for row in rows_by_identity(scores)
    ]
    totals = {name: getattr(scores, name) for name in COUNTS}
    return {"seconds": round(seconds, 1), "hits": len(scores.hits), **totals, "identities": rows}


def _check() -> None:
    for problem in check(load_demo()).problems:
        raise ConfigError(f"{problem.where}: {problem.problem}", problem.fix)


def _longest_s(clips: dict[str, Path]) -> float:
    return max(clip_facts(clip).seconds for clip in clips.values())


def _progress(start_s: float) -> Callable[[Status], None]:
    """Says how it goes, now and then."""
    said_s = time.monotonic()

    def show(status: Status) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            frames = sum(counts.frames_inferred for counts in status.streams.values())
            say(f"     {said_s - start_s:3.0f} s  {frames} frames looked at, {status.hits} hits")

    return show
