"""The single cases: each hit beside the enrolment, each missed appearance, and who is enrolled."""

from trainers.evaluate.report.content import HitDetail, MissedDetail, Person, ReportContent
from trainers.evaluate.report.html import colour, count, picture, share, text
from trainers.metrics.alerts import Appearance, JudgedHit, Judgement


def people(content: ReportContent) -> str:
    """The watchlist, with what became of each."""
    cards = "".join(_person(content, place) for place in range(len(content.people)))
    return f'<div class="people">{cards}</div>'


def hits(content: ReportContent) -> str:
    """Every hit: wrong ones first, then by stream and time."""
    judged = sorted(
        content.scores.hits, key=lambda item: (not item.wrong, item.hit.stream_id, item.opened_pts_s)
    )
    if not judged:
        return '<p class="lead">No hit was reported.</p>'
    return f'<div class="grid">{"".join(_hit(content, item) for item in judged)}</div>'


def missed(content: ReportContent) -> str:
    """Every missed appearance."""
    stays = [item.appearance for item in content.scores.appearances if item.missed]
    if not stays:
        return '<p class="lead">Nobody: every appearance of an enrolled person was found.</p>'
    return f'<div class="grid">{"".join(_missed(content, stay) for stay in stays)}</div>'


def _person(content: ReportContent, place: int) -> str:
    person = content.people[place]
    own = [item for item in content.scores.appearances if item.appearance.person_id == person.id]
    found = sum(not item.missed for item in own)
    wrong = sum(item.wrong for item in content.scores.hits if item.hit.identity_id == person.id)
    mistakes = f"<br>{count(wrong, 'wrong hit')}" if wrong else ""
    return (
        f'<div class="card person" style="{colour(place)}">{picture(person.picture, person.name)}'
        f"<div><b>{text(person.name)}</b><small>found in {found} of {count(len(own), 'appearance')}"
        f"{mistakes}</small></div></div>"
    )


def _hit(content: ReportContent, judged: JudgedHit) -> str:
    hit, detail = judged.hit, content.hits[judged.hit.hit_id]
    person, place = _enrolled(content, hit.identity_id)
    verdict = judged.judgement.value
    lead = "only one enrolled" if detail.margin is None else f"{detail.margin:.2f} to the next"
    return (
        f'<article class="card case {verdict}" style="{colour(place)}">'
        f"{_pair(person.picture, 'enrolled', detail.crop, 'seen')}<div>"
        f"<h3>{text(person.name)} <small>{text(hit.stream_id)}</small></h3>"
        f'<span class="badge">{_verdict(content, judged, detail)}</span>{_gauge(detail)}<dl>'
        f"<dt>opened</dt><dd>{judged.opened_pts_s:.1f} s</dd>"
        f"<dt>track</dt><dd>{hit.first_pts_s:.1f} to {hit.last_pts_s:.1f} s</dd>"
        f"<dt>lead</dt><dd>{lead}</dd></dl></div></article>"
    )


def _verdict(content: ReportContent, judged: JudgedHit, detail: HitDetail) -> str:
    if judged.right:
        return f"right, IoU {judged.overlap:.2f}"
    if not judged.wrong:
        return (
            "retracted at once"
            if judged.judgement is Judgement.RETRACTED
            else "on what is marked to be ignored"
        )
    if detail.shows is None:
        return "wrong: nobody labelled there"
    if detail.shows == judged.hit.identity_id:
        return "wrong: their stay there does not count"
    person, place = _enrolled(content, detail.shows)
    return f"wrong: this is {text(person.name)}" + ("" if place is not None else ", not enrolled")


def _gauge(detail: HitDetail) -> str:
    """The distance as a bar, the cut as a mark; the scale ends a little beyond both."""
    scale = 1.25 * max(detail.distance, detail.max_distance)
    cut = share(detail.max_distance, scale)
    return (
        f'<div class="gauge" title="distance {detail.distance:.3f}, cut {detail.max_distance:.3f}">'
        f'<i style="width:{share(detail.distance, scale)}"></i><b style="left:{cut}"></b>'
        f'<span style="left:0;transform:none">distance {detail.distance:.2f}</span>'
        f'<span style="left:{cut}">cut {detail.max_distance:.2f}</span></div>'
    )


def _missed(content: ReportContent, stay: Appearance) -> str:
    person, place = _enrolled(content, stay.person_id)
    detail = content.missed.get(stay) or MissedDetail(None, stay.start_s, 0.0, "")
    height = f"<dt>tallest</dt><dd>{detail.height_px:.0f} px</dd>" if detail.height_px else ""
    why = f"<dt>why</dt><dd>{text(detail.why)}</dd>" if detail.why else ""
    return (
        f'<article class="card case" style="{colour(place)}">'
        f"{_pair(person.picture, 'enrolled', detail.crop, f'at {detail.pts_s:.1f} s')}<div>"
        f'<h3>{text(person.name)} <small>{text(stay.stream_id)}</small></h3><dl style="margin-top:8px">'
        f"<dt>there</dt><dd>{stay.start_s:.1f} to {stay.end_s:.1f} s</dd>{height}{why}</dl></div></article>"
    )


def _pair(left: bytes | None, left_name: str, right: bytes | None, right_name: str) -> str:
    sides = ((left, left_name), (right, right_name))
    figures = (
        f"<figure>{picture(jpeg, name)}<figcaption>{name}</figcaption></figure>" for jpeg, name in sides
    )
    return f'<div class="pair">{"".join(figures)}</div>'


def _enrolled(content: ReportContent, person_id: str) -> tuple[Person, int | None]:
    for place, person in enumerate(content.people):
        if person.id == person_id:
            return person, place
    return Person(person_id, person_id, None), None
