"""Alert counts by the plainest loops: no arrays, no classes, straight from the rules."""


def plain_iou(a, b):
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def shows(event, labels):
    """Whether the picture of an event shows its person, and nobody else better."""
    overlap = {}
    for who in {label[1] for label in labels}:
        near = [
            (abs(time - event["at"]), time, box)
            for stream, other, time, box in labels
            if stream == event["stream"] and other == who and abs(time - event["at"]) <= 0.5
        ]
        overlap[who] = plain_iou(min(near)[2], event["box"]) if near else 0.0
    own = overlap.get(event["who"], 0.0)
    return own >= 0.3 and own == max(overlap.values())


def count(events, labels, stays, enrolled):
    """Counts.

    Args:
        events: Dicts with hit, revision, stream, who, first, last, decided, at, box.
        labels: Tuples (stream, who, time, box).
        stays: Tuples (stream, who, start, end).
        enrolled: Ids.

    Returns:
        right, wrong, missed, and the list of waits. A hit is right when every picture that any of its events shows is.
    """
    right, wrong, found = 0, 0, {}
    for hit in {event["hit"] for event in events}:
        own = [event for event in events if event["hit"] == hit]
        opened = min(own, key=lambda event: event["revision"])
        last = max(own, key=lambda event: event["revision"])
        here = [
            stay
            for stay in stays
            if stay[0] == last["stream"]
            and stay[1] == last["who"]
            and not (last["last"] < stay[2] or last["first"] > stay[3])
        ]
        if here and all(shows(event, labels) for event in own):
            right += 1
            for stay in here:
                found.setdefault(stay, []).append(opened["decided"] - stay[2])
        else:
            wrong += 1
    wanted = [stay for stay in stays if stay[1] in enrolled]
    missed = sum(stay not in found for stay in wanted)
    return right, wrong, missed, sorted(min(found[stay]) for stay in wanted if stay in found)
