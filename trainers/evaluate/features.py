"""`musewatch evaluate features`: re-ranks and scores a file of features."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from pipeline.errors import ConfigError
from pipeline.extras import cure
from pipeline.output import JsonOption, console, print_json, say
from pipeline.rerank import Distances, MuEntries, checks
from pipeline.rerank.distances import Metric
from trainers.evaluate.det import draw, rates
from trainers.evaluate.feature_set import FeatureSet, Opinions, read_features
from trainers.evaluate.peak import peak_mb, reset_peak
from trainers.evaluate.rerankers import Reranker, choose
from trainers.evaluate.result_table import need_plots
from trainers.evaluate.rules import score_row
from trainers.evaluate.windows import positions
from trainers.metrics.open_set import Nearest
from trainers.metrics.retrieval import RetrievalScores, retrieval_scores

SCORES = ("mAP", "R1", "R5", "R10", "mINP")


def features(
    file: Annotated[Path, typer.Argument(metavar="F.npz", help="Features, ids and cameras; maybe p_no.")],
    rerank: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="none, k_reciprocal, ecn or camera_jaccard; repeatable."),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="For all that have it; repeatable.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Weight of p_no, where the file has it.")] = 0.2,
    raw: Annotated[bool, typer.Option("--raw", help="Where the file has p_no, also without it.")] = False,
    verifier: Annotated[
        Path | None,
        typer.Option(metavar="M", help="Ask this verifier (its manifest) about the shortlists..."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="...whose pictures the file names, in this folder.")
    ] = None,
    top_c: Annotated[int, typer.Option(min=1, help="Candidates of a query that it is asked about.")] = 40,
    metric: Annotated[Metric, typer.Option(help="euclidean or cosine.")] = "euclidean",
    open_set: Annotated[
        bool,
        typer.Option("--open-set", help="TPIR at 0.1, 1 and 10 % FPIR, and the DET curve as a picture."),
    ] = False,
    window: Annotated[
        int | None, typer.Option(help="Search so many gallery rows at a time, in the order of the file...")
    ] = None,
    step: Annotated[int, typer.Option(help="...and let so many come and go; scores of all positions.")] = 1,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the distances: NAME.npy; raw ones: NAME_raw.npy.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda where torch is installed.")] = "cpu",
    memory_mb: Annotated[float, typer.Option(help="Working memory beside inputs and results.")] = 256,
    as_json: JsonOption = False,
) -> None:
    """Scores the ranking of a gallery, as it is and re-ranked."""
    checks.within(0, 1, alpha=alpha)
    chosen = choose(rerank or ["none"], param or ())
    data = read_features(file)
    d = data.distances(metric, memory_mb)
    asked = None if verifier is None else _asked(verifier, images, top_c, data, d, device)
    opinions, raw = asked or data.opinions, raw or asked is not None
    mu = MuEntries(opinions.candidates, opinions.p_no, alpha) if opinions else None
    if window is not None and (mu is not None or save is not None):
        raise ConfigError("--window goes without a verifier's answers and without --save", "leave them out")
    if save is not None:
        _make(save, asked)
    if open_set:
        need_plots()
    kinds = [(reranker, opinion) for reranker in chosen for opinion in ((None, mu) if raw and mu else (mu,))]
    rows, curves = [], {}
    for reranker, opinion in kinds:
        name = f"{reranker.name}_raw" if opinion is not mu else reranker.name
        sets = positions(data, window, step, metric, memory_mb) if window else [(d, slice(0, d.n_gallery))]
        row, nearest = _row(reranker, data, sets, opinion, device, save and save / f"{name}.npy")
        if open_set:
            curves[name] = nearest.curve()
            row["open_set"] = rates(curves[name])
        rows.append(row)
    document: dict[str, Any] = {"queries": d.n_queries, "gallery": d.n_gallery, "rows": rows}
    if open_set:
        picture = (save or file.parent) / ("det.png" if save else f"{file.stem}.det.png")
        draw(curves, picture)
        document["det"] = str(picture)
    if as_json:
        print_json(document)
    else:
        console().print(_table(rows, d))
        if open_set:
            console().print(_open_set_table(rows))
            say(f"DET curve: {document['det']}")


def _asked(
    verifier: Path, images: Path | None, top_c: int, data: FeatureSet, d: Distances, device: str
) -> Opinions:
    """What a verifier says of the shortlists."""
    if images is None:
        raise ConfigError("--verifier needs the pictures", "name their folder: --images DIR")
    try:
        from trainers.evaluate.asking import PairAnswers, ask
    except ModuleNotFoundError as error:
        raise ConfigError(f"a verifier needs {error.name}", cure(["mllm"])) from None
    say(f"asking {verifier} about {d.n_queries} x {min(top_c, d.n_gallery)} pairs")
    return ask(data, d, images, top_c, PairAnswers(verifier, device))


def _make(folder: Path, asked: Opinions | None) -> None:
    """The folder, with what a verifier was asked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if asked is not None:
            np.save(folder / "candidates.npy", asked.candidates)
            np.save(folder / "p_no.npy", asked.p_no)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from None


def _row(
    reranker: Reranker,
    data: FeatureSet,
    sets: Iterable[tuple[Distances, slice]],
    mu: MuEntries | None,
    device: str,
    save: Path | None,
) -> tuple[dict[str, Any], Nearest]:
    """Scores block by block, so that the (Q, G) result need not be held; evaluation is not in `seconds`."""
    reset_peak()
    shape = len(data.query_ids), len(data.gallery_ids)
    kept = np.lib.format.open_memmap(save, "w+", np.float32, shape) if save else None
    parts: list[RetrievalScores] = []
    nearest: list[Nearest] = []
    seconds, begun = 0.0, time.perf_counter()
    for d, rows in sets:
        cameras = data.query_cameras, data.gallery_cameras[rows]
        for start, block in reranker.blocks(d, *cameras, mu, device):
            seconds += time.perf_counter() - begun
            queries = slice(start, start + len(block))
            if kept is not None:
                kept[queries] = block
            labels = data.query_ids[queries], data.gallery_ids[rows], cameras[0][queries], cameras[1]
            parts.append(retrieval_scores(block, *labels))
            nearest.append(Nearest.of(block, *labels))
            begun = time.perf_counter()
    scores = score_row(RetrievalScores.joined(parts))
    row = {
        "rerank": reranker.name,
        "mu": mu is not None,
        "params": dict(reranker.params) | ({"alpha": mu.alpha} if mu is not None else {}),
        **scores,
        "seconds": round(seconds, 4),
        "peak_mb": round(peak_mb(), 1),
    }
    return row, Nearest.joined(nearest)


def _table(rows: Sequence[dict[str, Any]], d: Distances) -> Table:
    table = Table(box=None, title=f"{d.n_queries} queries, {d.n_gallery} gallery images")
    for column in ("re-ranker", "mu", *SCORES, "seconds", "peak MB"):
        table.add_column(column, justify="left" if column in ("re-ranker", "mu") else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["rerank"],
            f"{row['params']['alpha']:g}" if row["mu"] else "-",
            *(f"{100 * row[score]:.2f}" for score in SCORES),
            f"{row['seconds']:.2f}",
            f"{row['peak_mb']:.0f}",
        )
    return table


def _open_set_table(rows: Sequence[dict[str, Any]]) -> Table:
    first = rows[0]["open_set"]
    title = f"open set: {first['mated']} queries enrolled, {first['strangers']} strangers; TPIR (95 % band)"
    table = Table(box=None, title=title)
    for column in ("re-ranker", "mu", *(f"FPIR {point['fpir']:.1%}" for point in first["points"])):
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(
            row["rerank"],
            f"{row['params']['alpha']:g}" if row["mu"] else "-",
            *(
                f"{100 * p['tpir']:.1f} ({100 * p['band'][0]:.0f}-{100 * p['band'][1]:.0f})"
                for p in row["open_set"]["points"]
            ),
        )
    return table
