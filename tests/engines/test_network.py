"""Pictures through a network: batches it can take, and what does not fit stops at the start."""

import numpy as np
import pytest

from engines.errors import ManifestError, OutputError, TensorError
from engines.manifest import parse_manifest
from engines.network import BoxNetwork, PictureNetwork, VectorNetwork
from engines.sessions.base import TensorSpec
from engines.testing import FunctionSession

SIZE = (16, 8)


def manifest(tmp_path, role="embedder", **keys):
    document = {
        "schema": "musewatch.engine/1", "name": "tiny", "role": role, "file": "tiny.onnx", "sha256": "0" * 64,
        "licence": "none", "provenance": "a test",
        "preprocess": {"colour": "bgr", "resize": "stretch", "size": SIZE},
    }  # fmt: skip
    if role == "detector":
        document["decoder"] = {"kind": "end_to_end"}
    return parse_manifest(document | keys, tmp_path)


class Recorder(FunctionSession):
    """Answers each picture with its mean colour and remembers how many came at once."""

    def __init__(self, shape=(None, 3, *SIZE), dtype="float32", inputs=1, outputs=("y",), answer=None):
        specs = [TensorSpec(f"x{i}", shape, dtype) for i in range(inputs)]
        super().__init__(self._answer, specs, [TensorSpec(name, (None, None), "float32") for name in outputs])
        self.batches = []
        self._given = answer or (lambda x: {"y": x.mean(axis=(2, 3))})

    def _answer(self, feeds):
        (x,) = feeds.values()
        self.batches.append(len(x))
        assert x.dtype == self.inputs[0].dtype
        return self._given(x)


def pictures(n):
    return [np.full((5 + i, 9, 3), 10 * (i + 1), np.uint8) for i in range(n)]


@pytest.mark.parametrize(
    ("max_batch", "shape", "batches"),
    [
        (None, (None, 3, *SIZE), [7]),
        (3, (None, 3, *SIZE), [3, 3, 1]),
        (1, (None, 3, *SIZE), [1] * 7),
        (None, (1, 3, *SIZE), [1] * 7),
        (1, (1, 3, *SIZE), [1] * 7),
        (None, (4, 3, *SIZE), [4, 4]),
        (4, (4, 3, None, None), [4, 4]),
    ],
)
def test_batches_are_what_manifest_and_network_allow(max_batch, shape, batches, tmp_path):
    session = Recorder(shape)
    network = VectorNetwork(manifest(tmp_path, max_batch=max_batch), session)
    session.batches.clear()

    given = [np.full((6, 9, 3), [40, 30, 10 * i], np.uint8) for i in range(7)]
    rows = network.embed(given)

    assert session.batches == batches
    expected = np.array([picture[0, 0] for picture in given], float)
    assert rows == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-6)


def test_half_precision_networks_get_half_precision(tmp_path):
    network = VectorNetwork(manifest(tmp_path), Recorder(dtype="float16"))
    assert network.embed(pictures(2)).dtype == np.float32


@pytest.mark.parametrize(
    ("session", "keys", "says"),
    [
        (Recorder((None, 3, 32, 8)), {}, r"'x0' \(any, 3, 32, 8\) float32, the manifest makes 'x0' \(any, 3, 16, 8\)"),
        (Recorder((None, 1, *SIZE)), {}, r"\(any, 1, 16, 8\)"),
        (Recorder((None, *SIZE, 3)), {}, r"\(any, 16, 8, 3\)"),
        (Recorder((None, 384)), {}, r"\(any, 384\)"),
        (Recorder((1, 3, *SIZE)), {"max_batch": 8}, r"\(1, 3, 16, 8\).*\(8, 3, 16, 8\)"),
        (Recorder(dtype="uint8"), {}, "uint8"),
        (Recorder(inputs=2), {}, "wants 2 inputs"),
    ],
)  # fmt: skip
def test_an_input_that_is_not_what_the_manifest_makes(session, keys, says, tmp_path):
    with pytest.raises(TensorError, match=says) as caught:
        PictureNetwork(manifest(tmp_path, **keys), session)
    assert "engine tiny" in str(caught.value)
    assert caught.value.fix


def two_answers(x):
    return {"tokens": np.ones((len(x), 12, 7)), "pooled": np.ones((len(x), 12))}


@pytest.mark.parametrize(
    "session",
    [
        Recorder(
            answer=lambda x: {"y": np.ones((1, 12), np.float32)}
        ),  # any batch, it says, but is made for one
        Recorder(answer=lambda x: {"y": np.float32(1)}),
        Recorder(answer=two_answers, outputs=("tokens", "pooled")),
    ],
)
def test_an_embedder_with_another_output_stops_at_the_start(session, tmp_path):
    with pytest.raises(TensorError, match="engine tiny: an embedder gives one output"):
        VectorNetwork(manifest(tmp_path), session)


def test_of_several_outputs_the_manifest_names_the_one(tmp_path):
    session = Recorder(answer=two_answers, outputs=("tokens", "pooled"))
    assert VectorNetwork(manifest(tmp_path, outputs=["pooled"]), session).dimension == 12
    with pytest.raises(TensorError, match=r"no output pool. name some of: tokens, pooled"):
        VectorNetwork(manifest(tmp_path, outputs=["pool"]), session)


def test_the_manifest_orders_outputs_that_look_alike(tmp_path):
    """A detector of four classes: its boxes come second, unless the manifest says otherwise."""

    def answer(x):
        sure = np.full((len(x), 1, 4), 5.0)
        return {"boxes": np.full((len(x), 1, 4), 0.5), "logits": sure}

    session = Recorder(answer=answer, outputs=("boxes", "logits"))
    keys = {"decoder": {"kind": "detr"}}
    right = BoxNetwork(manifest(tmp_path, "detector", outputs=["logits", "boxes"], **keys), session)
    picture = np.zeros((SIZE[0], SIZE[1], 3), np.uint8)
    assert right.find([picture])[0].xyxy == pytest.approx(np.float32([[2, 4, 6, 12]]))
    wrong = BoxNetwork(manifest(tmp_path, "detector", **keys), session)
    assert wrong.find([picture])[0].xyxy[0, 2] > SIZE[1]


def test_a_detector_with_another_output_stops_at_the_start(tmp_path):
    session = Recorder(answer=lambda x: {"y": np.zeros((len(x), 10, 5))})
    with pytest.raises(TensorError, match=r"engine tiny: decoder end_to_end reads .* gives \(2, 10, 5\)"):
        BoxNetwork(manifest(tmp_path, "detector"), session)


def test_roles_are_not_mixed_up(tmp_path):
    with pytest.raises(ManifestError, match="no embedder"):
        VectorNetwork(manifest(tmp_path, "detector"), Recorder())
    with pytest.raises(ManifestError, match="no detector"):
        BoxNetwork(manifest(tmp_path), Recorder())


@pytest.mark.parametrize(
    ("value", "says"), [(0, "has no length"), (np.nan, "is not a number"), (np.inf, "is not")]
)
def test_a_vector_without_direction_names_engine_and_picture(value, says, tmp_path):
    def answer(x):
        rows = np.ones((len(x), 4), np.float32)
        rows[x.mean(axis=(1, 2, 3)) > 25] = value
        return {"y": rows}

    network = VectorNetwork(manifest(tmp_path, max_batch=2), Recorder(answer=answer))
    network.embed(pictures(2))
    with pytest.raises(OutputError, match=f"engine tiny: the vector of picture 3 of 4 {says}"):
        network.embed(pictures(4))


def test_boxes_that_are_not_numbers_name_the_engine(tmp_path):
    def answer(x):
        return {"y": np.where(x.mean() > 5, np.nan, 0) * np.ones((len(x), 3, 6))}

    network = BoxNetwork(manifest(tmp_path, "detector"), Recorder(answer=answer))
    with pytest.raises(OutputError, match="engine tiny: a score is not a number"):
        network.find(pictures(1))


def test_nothing_in_nothing_out(tmp_path):
    assert VectorNetwork(manifest(tmp_path), Recorder()).embed([]).shape == (0, 3)
