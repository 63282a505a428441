"""OSNet's checkpoints to ONNX: the same numbers as a network of the same weights in torch."""

import numpy as np
import onnxruntime
import pytest

from engines.errors import EngineFileError

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def network():
    """The published architecture, its statistics as if it had been trained."""
    import torch
    from boxmot.reid.backbones import build_backbone

    torch.manual_seed(0)
    made = build_backbone("osnet_x0_25", num_classes=5, pretrained=False).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return made


@pytest.fixture
def checkpoint(network, tmp_path):
    import torch

    path = tmp_path / "osnet.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("wrapped", [False, True])
def test_it_computes_what_torch_computes_for_any_batch(wrapped, network, checkpoint):
    import torch

    from engines.fetch.osnet import to_onnx

    if wrapped:  # as its trainer saves it, from several GPUs
        state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
        torch.save({"state_dict": state, "epoch": 150}, checkpoint)
    session = onnxruntime.InferenceSession(to_onnx(checkpoint), providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).normal(0, 1, (3, 3, 256, 128)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pictures)).numpy()
    found = session.run(None, {"pictures": pictures})[0]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(session.run(None, {"pictures": pictures[:1]})[0], expected[:1], atol=1e-4)


def test_a_checkpoint_of_something_else_is_named(network, checkpoint):
    import torch

    from engines.fetch.osnet import to_onnx

    state = network.state_dict()
    del state["conv3.0.gate.fc1.weight"]
    torch.save(state, checkpoint)
    with pytest.raises(EngineFileError, match=r"cannot be converted.*conv3\.0\.gate\.fc1\.weight"):
        to_onnx(checkpoint)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    import pickle

    from engines.fetch.osnet import to_onnx

    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("it was run",))

    path = tmp_path / "trap.pth"
    path.write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(EngineFileError, match="cannot be converted"):
        to_onnx(path)
