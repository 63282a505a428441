"""The page: headline figures, notice, watchlist, timeline, cases, and how it was made."""

from importlib.resources import files
from pathlib import Path

from pipeline.files import make_private
from trainers.evaluate.report import cases
from trainers.evaluate.report.content import ReportContent
from trainers.evaluate.report.html import count, text
from trainers.evaluate.report.timeline import timeline


def write_report(path: Path, content: ReportContent) -> None:
    """Writes the report as one HTML file that needs nothing beside it, for this user alone: people are on it."""
    make_private(path)
    path.write_text(render(content), encoding="utf-8")


def render(content: ReportContent) -> str:
    """The whole page."""
    sections = [
        _section("Watchlist", "Who was enrolled, each from one picture.", cases.people(content)),
        _section("Timeline", "What really happened, and when it was reported.", timeline(content)),
        _section("Hits", _hits_lead(content), cases.hits(content)),
        _section("Missed", _missed_lead(content), cases.missed(content)),
        _section("How this was made", "", _how(content)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(content.title)}</title><style>\n{_style()}</style></head><body><main>"
        f'<p class="mark">musewatch</p><h1>{text(content.title)}</h1>'
        f'<p class="lead">{text(content.subtitle)}</p>'
        f"{_figures(content)}{_notice(content)}{''.join(sections)}{_footer(content)}</main></body></html>\n"
    )


def _style() -> str:
    return (files("trainers.evaluate.report") / "page.css").read_text(encoding="utf-8")


def _section(title: str, lead: str, body: str) -> str:
    below = f'<p class="lead">{lead}</p>' if lead else ""
    return f"<section><h2>{title}</h2>{below}{body}</section>"


def _figures(content: ReportContent) -> str:
    scores = content.scores
    found, total = len(scores.appearances) - scores.missed, len(scores.appearances)
    median_s, p90_s = scores.time_to_first_hit_s(0.5), scores.time_to_first_hit_s(0.9)
    tiles = [
        (
            "good",
            f"{scores.right}",
            f" of {len(scores.hits)}",
            "hits right",
            _percent("precision", scores.precision),
        ),
        ("", f"{found}", f" of {total}", "appearances found", _percent("recall", scores.recall)),
        ("bad" if scores.wrong else "good", f"{scores.wrong}", "", "wrong hits", _alarms(content)),
        ("", _seconds(median_s), "", "to the first hit", f"median; p90 {_seconds(p90_s)}"),
        ("", f"{content.seconds:.0f} s", "", "to run", f"{scores.stream_seconds:.0f} s of streams"),
    ]
    return '<div class="figures">' + "".join(_figure(*tile) for tile in tiles) + "</div>"


def _figure(kind: str, big: str, of: str, what: str, more: str) -> str:
    return (
        f'<div class="card figure {kind}"><b>{text(big)}<small>{text(of)}</small></b>'
        f"<span>{text(what)}</span><em>{text(more)}</em></div>"
    )


def _percent(name: str, value: float | None) -> str:
    return f"{name} -" if value is None else f"{name} {100 * value:.0f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _alarms(content: ReportContent) -> str:
    alarms = content.scores.false_alarms_per_camera_day
    return "" if alarms is None else f"{alarms:.0f} per camera-day at this rate"


def _notice(content: ReportContent) -> str:
    if not content.notice:
        return ""
    heading, *paragraphs = content.notice
    body = "".join(f"<p>{text(paragraph)}</p>" for paragraph in paragraphs)
    return f'<div class="notice"><h3>{text(heading)}</h3>{body}</div>'


def _hits_lead(content: ReportContent) -> str:
    scores = content.scores
    hits = count(len(scores.hits), "hit")
    others = [(scores.retracted, "retracted at once"), (scores.ignored, "on what is marked to be ignored")]
    more = "".join(f", {number} {what}" for number, what in others if number)
    return f"{hits}: {scores.right} right, {scores.wrong} wrong{more}. Wrong ones come first."


def _missed_lead(content: ReportContent) -> str:
    scores = content.scores
    if not scores.missed:
        return ""
    stays = count(len(scores.appearances), "appearance")
    return (
        f"{scores.missed} of {stays} of enrolled people brought no right hit. "
        "Each is shown when it was best to be seen."
    )


def _how(content: ReportContent) -> str:
    facts = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in content.facts)
    config = f'<div class="card"><pre>{text(content.config)}</pre></div>' if content.config else ""
    return f'<div class="how"><div class="card"><dl>{facts}</dl></div>{config}</div>'


def _footer(content: ReportContent) -> str:
    rules = (
        "A hit is right when its person is in that stream during the hit's track and its best box overlaps "
        "the label of that person (IoU at least 0.3). An appearance counts when the person is visible for "
        "a second or longer and 60 px tall at some moment."
    )
    return f"<footer>{''.join(f'<p>{text(line)}</p>' for line in (rules, *content.footnotes))}</footer>"
