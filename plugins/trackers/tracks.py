"""One person's track, and who may have been mixed up with whom: sorted out by looks before new views are believed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plugins.trackers.assignment import assigned
from plugins.trackers.looks import F32, Gallery, Scale
from plugins.trackers.motion import Motion

F64 = NDArray[np.float64]

SURE = 3.0  # log odds by which one way to name people must lead over the others
IMPOSSIBLE = -1e3
EPSILON = 1e-6  # of two equal ways the present one stays
SOMEBODY_NEW = -12.0  # log odds that somebody unknown took a known person's place
OUT_OF_NOWHERE = -2.0  # log odds that somebody new appears in the middle of a picture
ENOUGH_VIEWS = 4  # after so many of one in doubt, they are who they seem
DOUBT_LASTS_S = 3.0  # after the last overlap
VIEW_GAP_S = 0.15  # views nearer in time say the same


@dataclass(slots=True, eq=False)
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
        compared_s: When it last was looked at, well seen or not.
        shown: Whether the id was given out.
        is_inside: Whether the first sight was away from the picture's border, where nobody comes from.
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
    compared_s: float = -np.inf
    shown: bool = False
    is_inside: bool = False

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


class Tracks:
    """All tracks of a stream by number, and the doubts between them."""

    def __init__(self) -> None:
        self.by_number: dict[int, Track] = {}
        self._last_number = -1

    def __iter__(self) -> Iterator[Track]:
        return iter(list(self.by_number.values()))

    def begin(self, motion: Motion, now: float, row: int) -> Track:
        """Somebody who was not there before."""
        self._last_number += 1
        track = Track(self._last_number, motion, now, now, row)
        self.by_number[track.number] = track
        return track

    def end(self, track: Track) -> None:
        """Forgets somebody."""
        for number in track.doubts:
            self.by_number[number].doubts.pop(track.number, None)
        del self.by_number[track.number]

    def doubt(self, one: Track, other: Track, now: float, before: float = 0.0) -> None:
        """From now on either may be the other, with those log odds before anybody looks."""
        odds = max(before, one.doubts.get(other.number, before))
        one.doubts[other.number] = other.doubts[one.number] = odds
        one.doubted_s = other.doubted_s = now

    def trust(self, track: Track) -> None:
        """It is who it seems; nobody else is taken for it any more."""
        for number in track.doubts:
            self.by_number[number].doubts.pop(track.number, None)
        track.doubts.clear()
        track.believe()

    def sort_out(self, scale: Scale, now: float) -> None:
        """Names everybody in doubt anew where their looks say so, and ends doubts that are settled.

        Who was out of sight may be found again as somebody who appeared, and takes that one's place; where nobody known
        fits, somebody new does. Who has lost their place is out of sight from then on.
        """
        for group in self._groups():
            if any(track.views for track in group if track.seen_s == now):
                self._name(group, scale, now)
        for track in self:
            if track.doubts and now - track.doubted_s > DOUBT_LASTS_S:
                self.trust(track)

    def _groups(self) -> list[list[Track]]:
        """Who is in doubt with whom, directly or by others."""
        groups, done = [], set[int]()
        for track in self:
            queue, group = [track.number] if track.doubts else [], list[Track]()
            while queue:
                number = queue.pop()
                if number not in done:
                    done.add(number)
                    group.append(self.by_number[number])
                    queue += group[-1].doubts
            if group:
                groups.append(sorted(group, key=lambda each: each.number))
        return groups

    def _name(self, group: list[Track], scale: Scale, now: float) -> None:
        """Gives each place of a group to whom it fits best, all together, where that is sure."""
        places = [track for track in group if track.seen_s == now]
        own = np.array([group.index(track) for track in places])
        table = _odds(places, group, scale)
        rows = np.arange(len(places))
        table[rows, own] += EPSILON
        best = assigned(-table)
        if table[rows, best].sum() - table[rows, own].sum() > SURE:
            named = self._move(places, [group[k] if k < len(group) else None for k in best], now)
        else:
            best, named = own, places
        for row, who in enumerate(named):
            others = np.delete(table[row], best[row]).max(initial=-np.inf)
            is_clear = table[row, best[row]] > max(0.0, others + SURE)
            if who.views and (is_clear or len(who.views) >= ENOUGH_VIEWS):
                self.trust(who)

    def _move(self, places: list[Track], people: list[Track | None], now: float) -> list[Track]:
        """Puts people, None = somebody new, in places; returns them.

        Somebody known whose place is taken gets one from which somebody was found again, or stays behind unseen.
        """
        before = [_copy(place) for place in places]
        found = [who for who in people if who is not None and who not in places]
        free = [_copy(who) for who in found]
        named = []
        for place, who in zip(before, people, strict=True):
            named.append(who or self.begin(place.motion, now, place.row))
            named[-1].take_place_of(place)
        for place in places:
            if place in named:
                continue
            if not place.gallery.views:
                self.end(place)
                continue
            if free:
                place.take_place_of(free.pop())
            place.seen_s = min(place.seen_s, now - VIEW_GAP_S)
            place.views = []
        return named


def _odds(places: list[Track], group: list[Track], scale: Scale) -> F64:
    """Log odds (P, G + P) that a place is of each person of a group, then that it is of somebody new."""
    table = np.full((len(places), len(group) + len(places)), IMPOSSIBLE)
    for row, place in enumerate(places):
        for column, who in enumerate(group):
            if who.gallery.views and (who is place or who.number in place.doubts):
                table[row, column] = place.doubts.get(who.number, 0.0) + sum(
                    scale.odds(who.gallery.distance(view)) for view in place.views
                )
            elif who is place:
                table[row, column] = OUT_OF_NOWHERE if place.is_inside else 0.0
        if place.gallery.views:
            table[row, len(group) + row] = SOMEBODY_NEW
    return table


def _copy(track: Track) -> Track:
    """What `take_place_of` takes, as it is now."""
    kept = Track(track.number, track.motion, track.seen_s, track.born_s, track.row)
    kept.take_place_of(track)
    return kept
