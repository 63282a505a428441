"""`musewatch evaluate features`: re-ranks and scores a file of features."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from pipeline.errors import ConfigError
from pipeline.output import JsonOption, console, print_json
from pipeline.rerank import Distances, MuEntries, checks
from trainers.evaluate.feature_set import FeatureSet, read_features
from trainers.evaluate.peak import peak_mb, reset_peak
from trainers.evaluate.rerankers import Reranker, choose
from trainers.evaluate.rules import score_row
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
    metric: Annotated[str, typer.Option(help="euclidean or cosine.")] = "euclidean",
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
    opinions = data.opinions
    mu = MuEntries(opinions.candidates, opinions.p_no, alpha) if opinions else None
    if save is not None:
        _make(save)
    rows = []
    for reranker in chosen:
        if raw and mu is not None:
            rows.append(_row(reranker, data, d, None, device, save and save / f"{reranker.name}_raw.npy"))
        rows.append(_row(reranker, data, d, mu, device, save and save / f"{reranker.name}.npy"))
    document = {"queries": d.n_queries, "gallery": d.n_gallery, "rows": rows}
    if as_json:
        print_json(document)
    else:
        console().print(_table(rows, d))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from None


def _row(
    reranker: Reranker,
    data: FeatureSet,
    d: Distances,
    mu: MuEntries | None,
    device: str,
    save: Path | None,
) -> dict[str, Any]:
    """Scores block by block, so that the (Q, G) result need not be held; evaluation is not in `seconds`."""
    reset_peak()
    kept = np.lib.format.open_memmap(save, "w+", np.float32, (d.n_queries, d.n_gallery)) if save else None
    parts: list[RetrievalScores] = []
    seconds, begun = 0.0, time.perf_counter()
    for start, block in reranker.blocks(d, data.query_cameras, data.gallery_cameras, mu, device):
        seconds += time.perf_counter() - begun
        queries = slice(start, start + len(block))
        if kept is not None:
            kept[queries] = block
        parts.append(
            retrieval_scores(
                block, data.query_ids[queries], data.gallery_ids, data.query_cameras[queries],
                data.gallery_cameras,
            )
        )  # fmt: skip
        begun = time.perf_counter()
    scores = score_row(RetrievalScores.joined(parts))
    return {
        "rerank": reranker.name,
        "mu": mu is not None,
        "params": dict(reranker.params) | ({"alpha": mu.alpha} if mu is not None else {}),
        **scores,
        "seconds": round(seconds, 4),
        "peak_mb": round(peak_mb(), 1),
    }


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
