"""`musewatch evaluate alerts`: a file of hits against a folder of truth."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.output import JsonOption, console, print_json, say
from trainers.evaluate.hits_file import read_hits
from trainers.evaluate.truth import read_enrolled, read_truth
from trainers.metrics.alerts import AlertScores, Judgement, StreamTruth, score_alerts

COUNTS = ("right", "wrong", "missed", "retracted", "ignored")


def alerts(
    hits: Annotated[Path, typer.Argument(metavar="HITS.jsonl", help="Hits as the jsonl sink wrote them.")],
    truth: Annotated[Path, typer.Option("--truth", metavar="DIR", help="Labels, presence.csv and clips.")],
    enrolled: Annotated[
        list[str] | None,
        typer.Option(
            "--enrolled", metavar="ID", help="Who was on the watchlist; else DIR/enrol, else everybody."
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.001, help="Frame rate of labels whose clip is not in DIR.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Counts how many hits were right, and who was missed."""
    streams = read_truth(truth, fps)
    scores = score_alerts(
        read_hits(hits), streams, frozenset(enrolled or ()) or read_enrolled(truth, streams)
    )
    for name in unknown_streams(scores, streams):
        say(f"musewatch: {truth} knows no stream {name!r}; its hits count as wrong")
    if as_json:
        print_json(document(scores))
    else:
        print_rows(rows_by_identity(scores), ("id", "clip", *COUNTS))
        console().print("\n" + "\n".join(figures(scores)))


def unknown_streams(scores: AlertScores, truth: Collection[StreamTruth]) -> list[str]:
    """Streams that have hits and no truth: most often a clip and a stream of different names."""
    return sorted({judged.hit.stream_id for judged in scores.hits} - {stream.stream_id for stream in truth})


def document(scores: AlertScores) -> dict[str, Any]:
    """The scores as JSON: counts and shares, then one row for each identity and stream."""
    return {
        "hits": len(scores.hits),
        "right": scores.right,
        "wrong": scores.wrong,
        "missed": scores.missed,
        "retracted": scores.retracted,
        "ignored": scores.ignored,
        "appearances": len(scores.appearances),
        "precision": scores.precision,
        "recall": scores.recall,
        "time_to_first_hit_s": {
            "median": scores.time_to_first_hit_s(0.5),
            "p90": scores.time_to_first_hit_s(0.9),
        },
        "false_alarms_per_camera_day": scores.false_alarms_per_camera_day,
        "stream_seconds": scores.stream_seconds,
        "identities": rows_by_identity(scores),
    }


def rows_by_identity(scores: AlertScores) -> list[dict[str, Any]]:
    """`{"id", "clip", "right", "wrong", "missed"}` for each identity and stream that has any."""
    pairs = {(judged.hit.identity_id, judged.hit.stream_id) for judged in scores.hits}
    pairs |= {(item.appearance.person_id, item.appearance.stream_id) for item in scores.appearances}
    return [{"id": who, "clip": where, **_counts(scores, who, where)} for who, where in sorted(pairs)]


def _counts(scores: AlertScores, identity_id: str, stream_id: str) -> dict[str, int]:
    own = (identity_id, stream_id)
    judged = Counter(
        each.judgement for each in scores.hits if (each.hit.identity_id, each.hit.stream_id) == own
    )
    missed = [
        item.missed
        for item in scores.appearances
        if (item.appearance.person_id, item.appearance.stream_id) == own
    ]
    counts = {judgement.value: judged[judgement] for judgement in Judgement} | {"missed": sum(missed)}
    return {name: counts[name] for name in COUNTS}


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """A table on stdout; the first two columns are names, the others numbers."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < 2 else "right")
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    console().print(table)


def figures(scores: AlertScores) -> list[str]:
    """The scores in four lines."""
    median_s, p90_s = (scores.time_to_first_hit_s(quantile) for quantile in (0.5, 0.9))
    hits, alarms = len(scores.hits), scores.false_alarms_per_camera_day
    return [
        f"hits {hits}: right {scores.right}, wrong {scores.wrong}, retracted {scores.retracted}, "
        f"ignored {scores.ignored}; precision {_number(scores.precision, 3)}",
        f"appearances {len(scores.appearances)}: missed {scores.missed}; recall {_number(scores.recall, 3)}",
        f"time to first hit: median {_number(median_s, 1)} s, p90 {_number(p90_s, 1)} s",
        f"false alarms per camera-day: {_number(alarms, 0)}, from {scores.stream_seconds:.0f} s of streams"
        + (f"; {scores.retracted} of them retracted at once" if scores.retracted else ""),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
