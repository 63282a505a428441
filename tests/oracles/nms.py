"""Suppression and overlap by definition: every pair, one at a time."""


def iou(a, b):
    """Intersection over union of two xyxy boxes."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union


def nms(boxes, scores, max_iou):
    """A box stays unless a better one that stays overlaps it too much."""
    kept = []
    for row in sorted(range(len(boxes)), key=lambda row: (-scores[row], row)):
        if all(iou(boxes[row], boxes[other]) <= max_iou for other in kept):
            kept.append(row)
    return kept
