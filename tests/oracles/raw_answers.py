"""What a detector of each kind would answer for known boxes: the formats written out, one box at a time.

Boxes are xyxy in pixels of an input of `size` (height, width); each answer is for one picture.
"""

import numpy as np


def yolox(boxes, scores, size, strides, classes=3, person_class=1):
    """Each box in the finest free cell that holds its centre; the score split into objectness and class."""
    rows, cells = [], []
    for stride in strides:
        for y in range(size[0] // stride):
            for x in range(size[1] // stride):
                cells.append((stride, x, y))
                rows.append(np.zeros(5 + classes))
    taken = set()
    for (x1, y1, x2, y2), score in zip(boxes, scores, strict=True):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        cell = next(
            i
            for i, (s, cx, cy) in enumerate(cells)
            if i not in taken and (int(x // s), int(y // s)) == (cx, cy)
        )
        taken.add(cell)
        stride, column, line = cells[cell]
        rows[cell][:4] = (
            x / stride - column,
            y / stride - line,
            np.log((x2 - x1) / stride),
            np.log((y2 - y1) / stride),
        )
        rows[cell][4] = np.sqrt(score)
        rows[cell][5 + person_class] = np.sqrt(score)
    return [np.array(rows, np.float32)[None]]


def ultralytics(boxes, scores, cells=40, classes=3, person_class=1):
    """Columns of centre, size and class scores; boxes scattered among empty cells."""
    answer = np.zeros((4 + classes, cells), np.float32)
    places = np.linspace(0, cells - 1, len(boxes)).astype(int)
    for place, (x1, y1, x2, y2), score in zip(places, boxes, scores, strict=True):
        answer[:4, place] = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        answer[4 + person_class, place] = score
    return [answer[None]]


def yolov5(boxes, scores, rows, classes=3, person_class=1):
    """Rows of centre, size, objectness and class scores; the score split into objectness and class."""
    answer = np.zeros((rows, 5 + classes), np.float32)
    places = np.linspace(0, rows - 1, len(boxes)).astype(int)
    for place, (x1, y1, x2, y2), score in zip(places, boxes, scores, strict=True):
        answer[place, :4] = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        answer[place, 4] = answer[place, 5 + person_class] = np.sqrt(score)
    return [answer[None]]


def end_to_end(boxes, scores, person_class=1, rows=20, more=0):
    """Rows filled up with zeros; a stranger of another class first; `more` columns of something else behind."""
    answer = np.zeros((rows, 6 + more), np.float32)
    answer[0, :6] = 1, 2, 30, 40, 0.99, person_class + 1
    answer[:, 6:] = 77
    for row, (box, score) in enumerate(zip(boxes, scores, strict=True), start=1):
        answer[row, :6] = *box, score, person_class
    return [answer[None]]


def detr(boxes, scores, size, activation, person_class=1, classes=3, queries=20):
    """Logits whose activation is the score; boxes in fractions; queries without an object say so."""
    logits = np.full((queries, classes + (activation == "softmax")), -9.0, np.float32)
    places = np.zeros((queries, 4), np.float32)
    if activation == "softmax":
        logits[:, -1] = 9.0
    for query, ((x1, y1, x2, y2), score) in enumerate(zip(boxes, scores, strict=True)):
        places[query] = (
            (x1 + x2) / 2 / size[1],
            (y1 + y2) / 2 / size[0],
            (x2 - x1) / size[1],
            (y2 - y1) / size[0],
        )
        if activation == "softmax":
            logits[query] = np.log((1 - score) / classes)
            logits[query, person_class] = np.log(score)
        else:
            logits[query, person_class] = np.log(score / (1 - score))
    return [logits[None], places[None]]


def ssd(boxes, scores, size, picture=0, person_class=1):
    """Rows of picture, class, score, corners in fractions; ended by picture -1, rubbish behind it."""
    rows = [[picture, person_class + 1, 0.99, 0, 0, 1, 1]]
    for (x1, y1, x2, y2), score in zip(boxes, scores, strict=True):
        rows.append([picture, person_class, score, x1 / size[1], y1 / size[0], x2 / size[1], y2 / size[0]])
    rows += [[-1, 0, 0, 0, 0, 0, 0], [picture, person_class, 0.9, 0, 0, 1, 1]]
    return [np.array(rows, np.float32)[None, None]]
