"""One person's track, and who may have been mixed up with whom: sorted out by looks before new views are believed."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from plugins.trackers.looks import F32, Gallery, Scale
from plugins.trackers.motion import Motion

F64 = NDArray[np.float64]

SURE = 3.0  # log odds by which one way to name people must lead over the others
ENOUGH_VIEWS = 4  # after so many of one in doubt, they are who they seem
DOUBT_LASTS_S = 3.0  # after the last overlap
VIEW_GAP_S = 0.08  # views nearer in time say the same


@dataclass(slots=True)
class Track:
    """One person, where they are and how they look.

    Attributes:
        number: The track's id.
        motion: As of the last sight.
        seen_s: When that was.
        born_s: When the first was.
        row: Of the detections of the last sight.
        sights: How many there were.
        gallery: Views that surely are of this person.
        looked_s: When the last of them was taken.
        doubts: Numbers of those whom this one may have become, and the log odds of it before anybody looks.
        doubted_s: When they last were in each other's way.
        views: Clean views since.
        viewed_s: When the last of these was taken.
        shown: Whether the id was given out.
    """

    number: int
    motion: Motion
    seen_s: float
    born_s: float
    row: int
    sights: int = 1
    gallery: Gallery = field(default_factory=Gallery)
    looked_s: float = -np.inf
    doubts: dict[int, float] = field(default_factory=dict)
    doubted_s: float = -np.inf
    views: list[F32] = field(default_factory=list)
    viewed_s: float = -np.inf
    shown: bool = False

    def take_place_of(self, other: "Track") -> None:
        """Goes on where the other is: the box and what was seen there become this one's."""
        for name in (
            "motion",
            "seen_s",
            "born_s",
            "row",
            "sights",
            "doubted_s",
            "views",
            "viewed_s",
            "shown",
        ):
            setattr(self, name, getattr(other, name))

    def believe(self) -> None:
        """Takes the views since a doubt into the gallery."""
        for view in self.views:
            self.gallery.add(view)
            self.looked_s = max(self.looked_s, self.viewed_s)
        self.views = []


def doubt(one: Track, other: Track, now: float, before: float = 0.0) -> None:
    """From now on either may be the other, with those log odds before anybody looks."""
    one.doubts[other.number] = max(before, one.doubts.get(other.number, before))
    other.doubts[one.number] = one.doubts[other.number]
    one.doubted_s = other.doubted_s = now


def trust(track: Track, tracks: dict[int, Track]) -> None:
    """It is who it seems; nobody else is taken for it any more."""
    for number in track.doubts:
        if number in tracks:
            tracks[number].doubts.pop(track.number, None)
    track.doubts.clear()
    track.believe()


def sort_out(tracks: dict[int, Track], scale: Scale, now: float) -> None:
    """Names everybody in doubt anew where their looks say so, and ends doubts that are settled.

    Who was out of sight may be found again as somebody who appeared, and takes that one's place; somebody whose place
    is taken is out of sight from then on.
    """
    for group in _groups(tracks):
        if any(track.views for track in group):
            _name(group, tracks, scale, now)
    for track in list(tracks.values()):
        if track.doubts and now - track.doubted_s > DOUBT_LASTS_S:
            trust(track, tracks)


def _groups(tracks: dict[int, Track]) -> list[list[Track]]:
    """Who is in doubt with whom, directly or by others."""
    groups, done = [], set[int]()
    for track in tracks.values():
        if not track.doubts or track.number in done:
            continue
        group, queue = list[Track](), [track.number]
        while queue:
            number = queue.pop()
            if number in done or number not in tracks:
                continue
            done.add(number)
            group.append(tracks[number])
            queue += tracks[number].doubts
        groups.append(group)
    return groups


def _name(group: list[Track], tracks: dict[int, Track], scale: Scale, now: float) -> None:
    group = sorted(group, key=lambda track: track.number)
    movers = [row for row, track in enumerate(group) if track.seen_s == now or track.views]
    odds = np.zeros((len(group), len(group)))
    for row in movers:
        for column, who in enumerate(group):
            if who.gallery.views and (row == column or who.number in group[row].doubts):
                odds[row, column] = group[row].doubts.get(who.number, 0.0) + sum(
                    scale.odds(who.gallery.distance(view)) for view in group[row].views
                )
            elif row != column:
                odds[row, column] = -SURE * 10
    table = odds[movers]
    own = table[np.arange(len(movers)), movers].sum()
    _, best = linear_sum_assignment(-table - 1e-3 * (np.arange(len(group)) == np.array(movers)[:, None]))
    lead = table[np.arange(len(movers)), best].sum() - own
    if lead > SURE:
        _rename([group[row] for row in movers], [group[column] for column in best], group, tracks)
        order = {int(column): row for row, column in enumerate(best)}
    else:
        order = {column: row for row, column in enumerate(movers)}
    for column, row in order.items():
        who = group[column]
        if who.number in tracks and _is_settled(who, table, row, column):
            trust(who, tracks)


def _is_settled(who: Track, table: F64, row: int, column: int) -> bool:
    """Whether nobody else comes near, or enough was seen."""
    if not who.views:
        return False
    others = np.delete(table[row], column).max(initial=-np.inf)
    return bool(table[row, column] - others > SURE) or len(who.views) >= ENOUGH_VIEWS


def _rename(movers: list[Track], best: list[Track], group: list[Track], tracks: dict[int, Track]) -> None:
    """Each of `best` goes on where the mover of the same row is; who is left without a place takes what is free."""
    places = {track.number: _place_of(track) for track in group}
    taken = {mover.number for mover in movers}
    named = {who.number for who in best}
    free = [track.number for track in group if track.number in named and track.number not in taken]
    for mover, who in zip(movers, best, strict=True):
        who.take_place_of(places[mover.number])
    for mover in movers:
        if mover.number in named:
            continue
        if mover.gallery.views and free:
            mover.take_place_of(places[free.pop()])
            mover.views = []
        else:
            del tracks[mover.number]
            for other in mover.doubts:
                if other in tracks:
                    tracks[other].doubts.pop(mover.number, None)


def _place_of(track: Track) -> Track:
    """What `take_place_of` takes, as it is now."""
    kept = Track(track.number, track.motion, track.seen_s, track.born_s, track.row)
    kept.take_place_of(track)
    return kept
