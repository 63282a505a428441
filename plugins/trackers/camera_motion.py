"""How a camera turned between two pictures, from corners of what stands still.

Source: Bouguet, Pyramidal Implementation of the Lucas Kanade Feature Tracker, 2000, and RANSAC, both as in OpenCV.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

SIDE_PX = 480  # pictures are looked at no larger
CORNERS, LEAST_CORNERS = 200, 12
STILL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class CameraMotion:
    """Follows the background from picture to picture."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None

    def step(self, image: NDArray[np.uint8], people: NDArray[np.float32]) -> F64:
        """(2, 3): rotation with scale, and shift in pixels, from the picture before to this one; `STILL` at first.

        Args:
            image: (H, W, 3) BGR.
            people: (N, 4) xyxy boxes in it, which move by themselves.
        """
        share = min(1.0, SIDE_PX / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        before, self._before = self._before, grey
        if before is None or before.shape != grey.shape:
            return STILL
        back = _between(grey, before, people * share)
        if back is None:
            return STILL
        turned = np.asarray(cv2.invertAffineTransform(back), np.float64)
        turned[:, 2] /= share
        return turned


def _between(one: NDArray[np.uint8], other: NDArray[np.uint8], people: NDArray[np.float32]) -> F64 | None:
    """From one grey picture, with people in it, to another; None where too little stands still."""
    free = np.full(one.shape, 255, np.uint8)
    for x0, y0, x1, y1 in np.clip(people, 0, max(one.shape)).astype(int):
        free[y0 : y1 + 1, x0 : x1 + 1] = 0
    corners = cv2.goodFeaturesToTrack(one, CORNERS, 0.01, 6, mask=free)
    if corners is None or len(corners) < LEAST_CORNERS:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(one, other, corners, np.empty_like(corners))
    kept = found.ravel() == 1
    if kept.sum() < LEAST_CORNERS:
        return None
    turned, inliers = cv2.estimateAffinePartial2D(corners[kept], moved[kept], ransacReprojThreshold=1.5)
    if turned is None or inliers.sum() < LEAST_CORNERS:
        return None
    return np.asarray(turned, np.float64)
