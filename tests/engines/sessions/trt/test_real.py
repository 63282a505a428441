"""TensorRT itself, where it and a GPU are: every precision against onnxruntime on the processor."""

import importlib.util

import numpy as np
import pytest

from engines.compile.calibrate import calibrate
from engines.compile.precisions import to_eight_bits, to_half
from engines.export import onnx_bytes
from engines.manifest import load_manifest
from engines.sessions.open import open_session
from engines.sessions.ort import OrtSession, gpu_works
from engines.testing import write_engine
from tests.engines.networks import SIZE, tiny_embedder

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.torch,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt") is None or not gpu_works(), reason="no TensorRT or no GPU here"
    ),
]
PREPROCESS = {"colour": "rgb", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)}


@pytest.mark.parametrize(
    ("precision", "least"), [("fp32", 0.999), ("fp16", 0.999), ("int8", 0.99), ("fp8", 0.98)]
)
def test_it_points_where_onnxruntime_does(precision, least, tmp_path, caplog):
    exact = onnx_bytes(tiny_embedder().eval(), SIZE, "tiny")
    plain = load_manifest(write_engine(tmp_path / "fp32", exact, preprocess=PREPROCESS))
    random = np.random.default_rng(0)
    pictures = {str(i): random.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for i in range(16)}
    data = exact
    if precision == "fp16":
        data = to_half(exact, "tiny")
    elif precision != "fp32":
        data = to_eight_bits(exact, calibrate(plain, exact, pictures).limits(precision), precision)
    path = write_engine(tmp_path / "trt", data, preprocess=PREPROCESS, tensorrt={"profile": [1, 4, 8]})
    session = open_session(load_manifest(path))
    assert session.provider.startswith("TensorRT"), caplog.messages
    for n in (1, 3, 8, 21):
        given = random.random((n, 3, *SIZE), np.float32)
        wanted = OrtSession(exact, "tiny", device="cpu").run({"pictures": given})["answer"]
        found = session.run({"pictures": given})["answer"]
        cosines = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
        assert cosines.min() > least
