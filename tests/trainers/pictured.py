"""Small data sets of drawn people, laid out as `musewatch world crops` lays them out."""

import json
from pathlib import Path

import cv2
import numpy as np

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def draw_people(root: Path, people: int, seed: int, per_camera: int = 2, cameras: int = 2) -> Path:
    """A tree whose people differ by the colours of their two halves; the second half of them is the test split.

    Captions tell the colours roughly.
    """
    rng = np.random.default_rng(seed)
    lines = []
    for folder in FOLDERS.values():
        (root / folder).mkdir(parents=True)
    for person in range(1, people + 1):
        colours = rng.integers(0, 256, (2, 3))
        rough = [f"{place}is{value // 52}" for place, value in enumerate(colours.ravel())]
        for camera in range(1, cameras + 1):
            for take in range(per_camera):
                split = "train" if person <= people // 2 else "gallery" if take else "query"
                name = f"{FOLDERS[split]}/{person:04d}_c{camera}s1_{take + 1:06d}_00.jpg"
                picture = np.repeat(colours, 16, 0)[:, None].repeat(16, 1) + rng.normal(0, 12, (32, 16, 3))
                cv2.imwrite(str(root / name), np.clip(picture, 0, 255).astype(np.uint8))
                lines.append(
                    {"file": name, "clothes_id": 0, "infrared": False, "captions": [" ".join(rough)]}
                )
    (root / "attributes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root
