"""A yolo11n that knows the demo's hall: trained for minutes, exported once, kept in build/bench."""

import os
from pathlib import Path

import cv2
import yaml

from engines.files import digest_of
from tests.servers.hall import frames, people

FOLDER = Path(__file__).parents[2] / "build" / "bench"
SIZE = 320
EVERY = 12
EPOCHS = 40


def small_yolo() -> Path:
    """The manifest of the engine; trains it at the first call (some minutes on two cores)."""
    manifest = FOLDER / "yolo11n.yaml"
    if not manifest.is_file():
        network = _export(_write_data())
        learned = f"tests/bench/small_yolo.py: {EPOCHS} epochs on every {EVERY}th frame of hall-1 and hall-2"
        manifest.write_text(yaml.safe_dump(manifest_of(network, "yolo11n-hall", learned, SIZE)))
    return manifest


def _write_data() -> Path:
    """Every twelfth frame of two of the clips, with the people at least half visible."""
    for clip in ("hall-1", "hall-2"):
        for frame in frames(clip, range(0, 660, EVERY)):
            stem = f"{clip}-{frame.index:04d}"
            width, height = frame.size
            picture = FOLDER / "data" / "images" / f"{stem}.jpg"
            label = FOLDER / "data" / "labels" / f"{stem}.txt"
            for path in (picture, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(picture), frame.image)
            rows = [
                f"0 {(b[0] + b[2]) / 2 / width:.5f} {(b[1] + b[3]) / 2 / height:.5f} "
                f"{(b[2] - b[0]) / width:.5f} {(b[3] - b[1]) / height:.5f}"
                for b in (p.box for p in people(clip, frame.index) if p.visibility >= 0.5)
            ]
            label.write_text("\n".join(rows))
    data = FOLDER / "data.yaml"
    images = str(FOLDER / "data" / "images")
    data.write_text(yaml.safe_dump({"train": images, "val": images, "names": {0: "person"}}))
    return data


def _export(data: Path) -> Path:
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(FOLDER))
    from ultralytics import YOLO

    model = YOLO("yolo11n.yaml")
    model.train(
        data=str(data), imgsz=SIZE, epochs=EPOCHS, batch=16, device="cpu", workers=0, amp=False, plots=False,
        val=False, pretrained=False, optimizer="AdamW", lr0=2e-3, warmup_epochs=1, close_mosaic=5,
        project=str(FOLDER), name="train", exist_ok=True, verbose=False,
    )  # fmt: skip
    made = Path(
        YOLO(FOLDER / "train" / "weights" / "last.pt").export(format="onnx", imgsz=SIZE, simplify=False)
    )
    return made.replace(FOLDER / "yolo11n.onnx")


def manifest_of(network: Path, name: str, provenance: str, size: int) -> dict[str, object]:
    """The manifest of a file that ultralytics exported."""
    return {
        "schema": "musewatch.engine/1",
        "name": name,
        "role": "detector",
        "file": network.name,
        "sha256": digest_of(network),
        "licence": "AGPL-3.0",
        "provenance": provenance,
        "preprocess": {
            "colour": "rgb",
            "scale": 1 / 255,
            "resize": "letterbox_centre",
            "pad": 114,
            "size": [size, size],
        },
        "decoder": {"kind": "ultralytics", "person_class": 0},
    }


if __name__ == "__main__":
    print(small_yolo())
