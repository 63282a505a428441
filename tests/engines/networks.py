"""Tiny torch networks, and how a test makes them known by name."""

from importlib.metadata import EntryPoint

from engines.manifest import SCHEMA, UNSAVED, WEIGHTS, Manifest
from pipeline import registry

SIZE = (32, 16)


def tiny_embedder(dimension=16, width=8):
    import torch
    from torch import nn

    class Unit(nn.Module):
        def forward(self, x):
            return nn.functional.normalize(x, dim=1)

    torch.manual_seed(0)  # leaves its mark on whoever builds it without care
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.AdaptiveAvgPool2d((4, 1)), nn.Flatten(), nn.Linear(8 * width, dimension), Unit(),
    )  # fmt: skip


def tiny_detector(width=8):
    """Raw YOLOX rows of one stride, 8: boxes about a cell large, scores about a half."""
    import torch
    from torch import nn

    class Rows(nn.Module):
        def forward(self, x):
            rows = x.flatten(2).transpose(1, 2)
            return torch.cat([0.1 * rows[..., :4], rows[..., 4:].sigmoid()], 2)

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, width, 8, 8), nn.ReLU(), nn.Conv2d(width, 6, 1), Rows())
    nn.init.constant_(network[2].bias[4:], 1.0)
    return network


def without_library():
    raise AssertionError("never called")


def know_tiny_networks(monkeypatch):
    """Makes them known under `musewatch.network` for one test."""
    values = {
        "tiny-embedder": "tests.engines.networks:tiny_embedder",
        "tiny-detector": "tests.engines.networks:tiny_detector",
        "without-library": "tests.engines.no_such_library:build [train]",
    }
    for name, value in values.items():
        monkeypatch.setitem(registry.known("network"), name, EntryPoint(name, value, "musewatch.network"))


def embedder_card(**keys):
    document = {
        "schema": SCHEMA, "name": "tiny", "role": "embedder", "file": WEIGHTS, "sha256": UNSAVED,
        "network": {"use": "tiny-embedder", "arguments": {"dimension": 16}}, "dimension": 16,
        "licence": "Apache-2.0", "provenance": "a test",
        "preprocess": {"colour": "rgb", "scale": 1 / 255, "resize": "stretch", "size": SIZE},
    }  # fmt: skip
    return Manifest.model_validate(document | keys)


def detector_card(**keys):
    return embedder_card(
        **{
            "network": {"use": "tiny-detector"}, "role": "detector", "dimension": None,
            "preprocess": {"colour": "bgr", "scale": 1 / 255, "resize": "letterbox_top_left", "size": SIZE},
            "decoder": {"kind": "yolox", "strides": [8]},
        } | keys
    )  # fmt: skip


def score_embedder(network, folder):
    """A score that the gate's callers can foresee: how alike the first two pictures of a folder are."""
    import cv2

    first, second = (cv2.imread(str(path)) for path in sorted(folder.iterdir())[:2])
    a, b = network.embed([first, second])
    return {"first": (1 + float(a @ b)) / 2}
