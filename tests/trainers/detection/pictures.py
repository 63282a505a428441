"""A folder as `world frames` leaves it, of flat pictures with light upright rectangles for people."""

import json
from pathlib import Path

import numpy as np

SIZE = (64, 96)


def write_pictures(folder: Path, count: int = 6, seed: int = 0, name: str = "random-0") -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images = np.full((count, *SIZE, 3), 60, np.uint8)
    rows = []
    for image in images:
        boxes = []
        for column in range(int(rng.integers(1, 3))):
            x, y = int(rng.integers(4, 24)) + 48 * column, int(rng.integers(4, 16))
            w, h = int(rng.integers(10, 18)), int(rng.integers(28, 44))
            image[y : y + h, x : x + w] = rng.integers(150, 255, 3)
            boxes.append([x, y, w, h])
        rows.append(json.dumps({"camera": 1, "boxes": boxes, "visible": [1.0] * len(boxes)}))
    np.save(folder / f"{name}.npy", images)
    (folder / f"{name}.jsonl").write_text("".join(f"{row}\n" for row in rows))
    return folder
