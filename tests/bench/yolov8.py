"""A yolov8n of 416 px, of fixed and of free size, from any public .onnx of it: one network for both sides of a race.

Where a file holds eight bits (onnxruntime's dynamic quantisation), they are multiplied out. Without a file the weights
are random: times are right, boxes are not.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench.small_yolo import manifest_of

SIZE = 416
QUANTIZED = "_quantized"


@dataclass(frozen=True, slots=True)
class Networks:
    """Manifests; beside each lies its .onnx of the same name."""

    fixed: Path
    free: Path


def networks(folder: Path, weights: Path | None) -> Networks:
    """Exports both into the folder, once."""
    made = Networks(folder / "fixed.yaml", folder / "free.yaml")
    for manifest in (made.fixed, made.free):
        if not manifest.is_file():
            _export(manifest, weights)
    return made


def _export(manifest: Path, weights: Path | None) -> None:
    folder = manifest.parent
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(folder))
    from ultralytics import YOLO

    model = YOLO("yolov8n.yaml")
    model.model.fuse()
    if weights:
        missing, unknown = model.model.load_state_dict(_floats(weights), strict=False)
        strange = [name for name in [*missing, *unknown] if not name.endswith("dfl.conv.weight")]
        assert not strange, f"{weights} is no yolov8n: {strange[:3]}"
    model.model.pt_path = str(manifest.with_suffix(".pt"))
    made = Path(
        model.export(format="onnx", imgsz=SIZE, simplify=False, dynamic=manifest.stem == "free", device="cpu")
    )
    network = made.replace(manifest.with_suffix(".onnx"))
    made_by = "ultralytics' yolov8n, exported by tests/bench/yolov8.py"
    document = manifest_of(network, f"yolov8n-{network.stem}", made_by, SIZE)
    manifest.write_text(yaml.safe_dump(document), encoding="utf-8")


def _floats(weights: Path) -> dict[str, Any]:
    """Weights of the convolutions by ultralytics' names."""
    import onnx
    import torch
    from onnx import numpy_helper

    tensors = {each.name: numpy_helper.to_array(each) for each in onnx.load(weights).graph.initializer}
    found = {}
    for stored, tensor in tensors.items():
        name = stored.removesuffix(QUANTIZED)
        if name.startswith("model.") and name.endswith((".weight", ".bias")):
            steps = (tensors[f"{name}_zero_point"], tensors[f"{name}_scale"]) if name != stored else (0, 1)
            found[name] = torch.tensor((tensor.astype("float32") - steps[0]) * steps[1])
    return found
