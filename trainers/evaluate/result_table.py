"""One table of results as Markdown, CSV, JSON and a plot."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.extras import cure

KEYS = ("protocol", "sources", "target", "rule", "encoder", "verifier", "tuning", "rerank", "alpha")
SCORES = ("mAP", "R1", "R5", "R10", "mINP")
Row = Mapping[str, Any]


def need_plots() -> None:
    """Fails early where nothing can be drawn.

    Raises:
        ConfigError: matplotlib is missing.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ConfigError("drawing table.png needs matplotlib", cure(["lab"])) from None


def write_tables(title: str, rows: Sequence[Row], out: Path) -> None:
    """Leaves table.md, table.csv, table.json and table.png in `out`."""
    (out / "table.json").write_text(json.dumps({"title": title, "rows": rows}, indent=1) + "\n")
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*KEYS, *SCORES, "seconds"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    (out / "table.md").write_text(markdown(title, rows), encoding="utf-8")
    plot(title, rows, out / "table.png")


def markdown(title: str, rows: Sequence[Row]) -> str:
    """The table, best mAP and Rank-1 of each run bold; then mAP of encoders by sets where there are several."""
    lines = [f"# {title}", "", "Scores in per cent; bold = best of its run.", ""]
    lines += _table((*KEYS, *SCORES), [_cells(row, rows) for row in rows])
    encoders = list(dict.fromkeys(row["encoder"] for row in rows))
    targets = list(dict.fromkeys(_where(row) for row in rows))
    if len(encoders) > 1 and len(targets) > 1:
        lines += ["", "## mAP of encoders by sets, not re-ranked", ""]
        plain = {
            (row["encoder"], _where(row)): f"{100 * row['mAP']:.1f}"
            for row in rows
            if row["rerank"] == "none" and not row["verifier"]
        }
        body = [[name, *(plain.get((name, target), "-") for target in targets)] for name in encoders]
        lines += _table(("encoder", *targets), body)
    return "\n".join(lines) + "\n"


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---:" if name in SCORES else "---" for name in header]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *body)]


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    run = [other for other in rows if _run(other) == _run(row)]
    cells = [_text(row[key]) for key in KEYS]
    for score in SCORES:
        if row.get(score) is None:
            cells.append("-")
            continue
        text = f"{100 * row[score]:.1f}"
        best = score in ("mAP", "R1") and len(run) > 1 and row[score] == max(other[score] for other in run)
        cells.append(f"**{text}**" if best else text)
    return cells


def _text(value: Any) -> str:
    return "-" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def _run(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("protocol", "sources", "target", "rule", "encoder"))


def _where(row: Row) -> str:
    return row["target"] if row["rule"] == "market" else f"{row['target']} ({row['rule']})"


def plot(title: str, rows: Sequence[Row], path: Path) -> None:
    """Bars of mAP with Rank-1 as a dot: one group a run and verifier, one colour a re-ranker."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(_group(row) for row in rows))
    colours = {name: f"C{number}" for number, name in enumerate(dict.fromkeys(row["rerank"] for row in rows))}
    figure = Figure(figsize=(9, 1.6 + 0.17 * len(rows) + 0.2 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    place, ticks = 0.0, []
    for group in groups:
        mine = [row for row in rows if _group(row) == group]
        ticks.append(place + (len(mine) - 1) / 2)
        for row in mine:
            name = row["rerank"] if row["rerank"] != "none" else "not re-ranked"
            axes.barh(place, 100 * row["mAP"], 0.85, color=colours[row["rerank"]], label=name)
            axes.plot(100 * row["R1"], place, "o", color="black", markersize=3, label="Rank-1")
            place += 1
        place += 1
    axes.set_yticks(ticks, [_group_name(group) for group in groups], fontsize="small")
    axes.set_ylim(place - 1, -1)
    axes.set_xlim(0, 100)
    axes.set_xlabel("mAP, per cent")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    handles, names = axes.get_legend_handles_labels()
    shown = dict(zip(names, handles, strict=True))
    figure.legend(
        shown.values(), shown.keys(), loc="outside upper center", ncols=6, fontsize="small", frameon=False
    )
    figure.savefig(path, dpi=120)


def _group(row: Row) -> tuple[Any, ...]:
    return (*_run(row), row["verifier"], row["tuning"])


def _group_name(group: tuple[Any, ...]) -> str:
    protocol, sources, target, rule, encoder, verifier, tuning = group
    arrow = f"{sources or 'zero-shot'} \N{RIGHTWARDS ARROW} {target}"
    what = ", ".join(filter(None, (encoder, protocol, "" if rule == "market" else rule)))
    judged = f"\n+ {verifier}" + (f" ({tuning})" if tuning else "") if verifier else ""
    return f"{arrow}\n{what}{judged}"
