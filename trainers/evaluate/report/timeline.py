"""Who was where and when, and what was reported of it: one card a stream, one lane a person."""

from collections import Counter
from collections.abc import Iterable, Sequence

from trainers.evaluate.report.content import ReportContent, Still
from trainers.evaluate.report.html import colour, picture, share, text
from trainers.metrics.alerts import Appearance, JudgedHit, Judgement, StreamTruth

SIGNS = {
    Judgement.RIGHT: "✓",
    Judgement.WRONG: "✕",
    Judgement.RETRACTED: "↶",
    Judgement.IGNORED: "·",
}
TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)

LEGEND = """<div class="legend">
<span><i><span class="lane" style="position:absolute;inset:2px 0"><span class="stay" style="inset:0"></span></span></i>there and found</span>
<span><i><span class="lane" style="position:absolute;inset:2px 0"><span class="stay missed" style="inset:0"></span></span></i>there and missed</span>
<span><i class="dot right">✓</i>hit opened, right</span>
<span><i class="dot wrong">✕</i>hit opened, wrong</span>
<span>line: the hit's track</span></div>"""  # noqa: E501


def timeline(content: ReportContent) -> str:
    """All streams."""
    places = {person.id: place for place, person in enumerate(content.people)}
    return LEGEND + "".join(_camera(content, stream, places) for stream in content.truth)


def _camera(content: ReportContent, stream: StreamTruth, places: dict[str, int]) -> str:
    hits = [judged for judged in content.scores.hits if judged.hit.stream_id == stream.stream_id]
    missed = {item.appearance for item in content.scores.appearances if item.missed}
    here = {stay.person_id for stay in stream.appearances} | {judged.hit.identity_id for judged in hits}
    names = {person.id: person.name for person in content.people}
    lanes = [
        _lane(stream, names[person], colour(place), _bars(stream, person, missed, hits))
        for person, place in places.items()
        if person in here
    ]
    others = [stay for stay in stream.appearances if stay.person_id not in places]
    lanes.append(_others(stream, others))
    return (
        f'<section class="card camera">{_still(content.stills.get(stream.stream_id), places)}<div>'
        f'<h3>{text(stream.stream_id)}</h3><p class="soft">{_summary(stream, hits, others)}</p>'
        f'<div class="lanes">{"".join(lanes)}<div></div>{_axis(stream.seconds)}</div></div></section>'
    )


def _summary(stream: StreamTruth, hits: Sequence[JudgedHit], others: Sequence[Appearance]) -> str:
    people = {stay.person_id for stay in stream.appearances}
    strangers = len({stay.person_id for stay in others})
    counts = Counter(judged.judgement.value for judged in hits)
    right = counts.pop("right", 0)
    wrong = "".join(f", {number} {name}" for name, number in counts.items())
    return (
        f"{stream.seconds:.0f} s · {len(people)} in view, {strangers} of them not enrolled · "
        f"{right} right{wrong}"
    )


def _lane(stream: StreamTruth, name: str, style: str, bars: Iterable[str]) -> str:
    return (
        f'<label style="{style}">{text(name)}</label><div class="lane" style="{style}">{"".join(bars)}</div>'
    )


def _others(stream: StreamTruth, stays: Sequence[Appearance]) -> str:
    bars = "".join(_bar("stay other", stay.start_s, stay.end_s, stream, stay.person_id) for stay in stays)
    return f'<label class="others">others</label><div class="lane others">{bars}</div>'


def _bars(
    stream: StreamTruth, person: str, missed: set[Appearance], hits: Sequence[JudgedHit]
) -> Iterable[str]:
    for stay in stream.appearances:
        if stay.person_id == person:
            fate = "missed" if stay in missed else "found"
            yield _bar(f"stay {fate}", stay.start_s, stay.end_s, stream, f"{person}, {fate}")
    own = [judged for judged in hits if judged.hit.identity_id == person]
    for judged in own:
        verdict, hit = judged.judgement.value, judged.hit
        yield _bar(f"span {verdict}", hit.first_pts_s, hit.last_pts_s, stream, f"track, {verdict} hit")
    for judged in own:
        verdict, sign = judged.judgement.value, SIGNS[judged.judgement]
        at = share(judged.opened_pts_s, stream.seconds)
        title = f"{verdict} hit, opened at {judged.opened_pts_s:.1f} s"
        yield f'<span class="dot {verdict}" style="left:{at}" title="{title}">{sign}</span>'


def _bar(kind: str, start_s: float, end_s: float, stream: StreamTruth, title: str) -> str:
    left, wide = share(start_s, stream.seconds), share(end_s - start_s, stream.seconds)
    when = f"{start_s:.1f} to {end_s:.1f} s"
    return f'<span class="{kind}" style="left:{left};width:{wide}" title="{text(title)}: {when}"></span>'


def _axis(seconds: float) -> str:
    step = next((tick for tick in TICKS_S if seconds / tick <= 8), TICKS_S[-1])
    ticks = [tick * step for tick in range(int(seconds // step) + 1)]
    marks = "".join(f'<span style="left:{share(tick, seconds)}">{tick} s</span>' for tick in ticks)
    return f'<div class="axis">{marks}</div>'


def _still(still: Still | None, places: dict[str, int]) -> str:
    if still is None:
        return '<div class="still"></div>'
    boxes = "".join(_outline(person, box, still.size, places) for person, box in still.boxes.items())
    time = f"<span>{still.pts_s:.1f} s</span>"
    return f'<div class="still">{picture(still.picture, "a frame of the stream")}{boxes}{time}</div>'


def _outline(
    person: str, box: tuple[float, float, float, float], size: tuple[int, int], places: dict[str, int]
) -> str:
    wide, high = size
    place = (
        f"left:{share(box[0], wide)};top:{share(box[1], high)};"
        f"width:{share(box[2] - box[0], wide)};height:{share(box[3] - box[1], high)}"
    )
    if person not in places:
        return f'<i class="other" style="{place}"></i>'
    return f'<i style="{place};{colour(places[person])}"><b>{text(person)}</b></i>'
