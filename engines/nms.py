"""Non-maximum suppression: of boxes that overlap too much, the one with the best score stays."""

import numpy as np
from numpy.typing import NDArray


def nms(xyxy: NDArray[np.float32], score: NDArray[np.float32], max_iou: float) -> NDArray[np.int64]:
    """Rows that stay, best score first; of equal scores the earlier row.

    Args:
        xyxy: (N, 4) boxes.
        score: (N,).
        max_iou: Greatest intersection over union with a better box that stays.

    >>> boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    >>> nms(boxes, np.float32([0.8, 0.9, 0.5]), 0.5).tolist()
    [1, 2]
    """
    x1, y1, x2, y2 = xyxy.T
    areas = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    waiting = np.argsort(-score, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        wide = np.minimum(x2[best], x2[waiting]) - np.maximum(x1[best], x1[waiting])
        high = np.minimum(y2[best], y2[waiting]) - np.maximum(y1[best], y1[waiting])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        waiting = waiting[shared <= max_iou * (areas[best] + areas[waiting] - shared)]
    return np.array(kept, np.int64)
