"""TensorRT's session and its plans, on a fake library and a fake GPU that run networks with onnxruntime."""

import logging
import sys

import numpy as np
import pytest

from engines.errors import TensorError
from engines.manifest import load_manifest
from engines.sessions.open import open_session
from engines.sessions.ort import OrtSession
from engines.sessions.trt import opening, testing
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.opening import open_tensorrt
from engines.sessions.trt.testing import FakeGpu, FakeLibrary
from engines.testing import stripe_embedder, write_engine

NETWORK = stripe_embedder((64, 32))
PROFILE = {"profile": [1, 8, 32]}


@pytest.fixture
def machine(monkeypatch):
    """Puts a library and a GPU in place; returns them."""

    def make(gpu=None, version="11.4.0"):
        gpu = gpu or FakeGpu()
        library = FakeLibrary(gpu, version)
        monkeypatch.setitem(sys.modules, "tensorrt", library.module())
        monkeypatch.setattr(opening, "CudaGpu", lambda: gpu)
        return library

    return make


@pytest.fixture
def manifest(tmp_path):
    return load_manifest(write_engine(tmp_path, NETWORK, tensorrt=PROFILE))


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level(logging.WARNING, "musewatch.engines")


def pictures(n):
    return np.random.default_rng(n).uniform(0, 255, (n, 3, 64, 32)).astype(np.float32)


def expected(given):
    return OrtSession(NETWORK, "x", device="cpu").run({"pictures": given})["colours"]


def test_any_batch_is_split_and_filled_up(machine, manifest, caplog):
    library = machine()
    session = open_session(manifest)
    assert session.provider == "TensorRT 11.4.0"
    assert session.inputs == OrtSession(NETWORK, "x", device="cpu").inputs
    for n, runs in ((1, [1]), (5, [8]), (8, [8]), (70, [32, 32, 8])):
        session.run({"pictures": pictures(n)})  # sizes that are new are run once before they are captured
        library.gpu.batches.clear()
        given = pictures(n)
        assert session.run({"pictures": given})["colours"] == pytest.approx(expected(given))
        assert library.gpu.batches == runs
    assert caplog.messages == []


def test_every_run_is_one_launch(machine, manifest):
    library = machine()
    session = open_session(manifest)
    library.gpu.launches = 0
    session.run({"pictures": pictures(70)})
    assert library.gpu.launches == 3


def test_answers_of_one_run_outlive_the_next(machine, manifest):
    machine()
    session = open_session(manifest)
    given = pictures(3)
    first = session.run({"pictures": given})["colours"]
    session.run({"pictures": given * 0})
    assert first == pytest.approx(expected(given))


def test_precision_is_the_graphs_and_the_profile_the_manifests(machine, manifest):
    library = machine()
    open_session(manifest)
    (build,) = library.builds
    assert build == {
        "flags": 2,  # strongly typed
        "profile": [[n, 3, 64, 32] for n in (1, 8, 32)],
        "timings": b"",
        "workspace": 1024 * 2**20,
    }


def test_a_fixed_batch_needs_no_profile(machine, tmp_path):
    network = stripe_embedder((64, 32), batch=4)
    library = machine()
    session = open_session(load_manifest(write_engine(tmp_path, network, tensorrt={})))
    assert library.builds[0]["profile"] is None
    given = pictures(4)
    assert session.run({"pictures": given})["colours"] == pytest.approx(expected(given))


def test_without_capture_it_runs_and_says_so_once_a_size(machine, manifest, caplog):
    machine(FakeGpu(captures=False))
    session = open_session(manifest)
    given = pictures(6)
    for _ in range(3):
        assert session.run({"pictures": given})["colours"] == pytest.approx(expected(given))
    assert [message.split(":")[0] for message in caplog.messages] == ["engine tiny"] * 2
    assert "no CUDA graph of batch 8" in caplog.messages[1]


def test_a_plan_is_built_once_for_each_network_version_gpu_and_profile(machine, tmp_path):
    paths = {
        "first": write_engine(tmp_path, NETWORK, tensorrt=PROFILE),
        "profile": write_engine(tmp_path, NETWORK, name="wide", tensorrt={"profile": [1, 8, 64]}),
        "network": write_engine(
            tmp_path, stripe_embedder((64, 32), 4), name="other", file="other.onnx", tensorrt=PROFILE
        ),
    }
    machines = {"11": ("sm90", "11.4.0"), "10": ("sm90", "10.13.0"), "ada": ("sm89", "11.4.0")}
    built = []
    for _ in range(2):
        for name, (architecture, version) in machines.items():
            for engine, path in paths.items():
                library = machine(FakeGpu(architecture), version)
                open_session(load_manifest(path))
                built += [(name, engine)] * len(library.builds)
    assert built == [(name, engine) for name in machines for engine in paths]


def test_a_build_starts_from_what_earlier_builds_measured(machine, manifest, tmp_path):
    machine()
    open_session(manifest)
    other = load_manifest(write_engine(tmp_path, NETWORK, tensorrt={"level": 4}))
    library = machine()
    open_session(other)
    assert library.builds[0]["timings"] == b"measured"


def one_plan(tmp_path):
    (plan,) = (tmp_path / "plans").glob("*.plan")
    return plan


def test_a_plan_of_another_gpu_is_built_again(machine, manifest, tmp_path, caplog):
    machine(FakeGpu("sm89"))
    open_session(manifest)
    ada = one_plan(tmp_path)
    ada.rename(ada.with_name(ada.name.replace("sm89", "sm90")))  # as if somebody copied it
    library = machine()

    session = open_session(manifest)

    assert caplog.messages == [
        "engine tiny: its plan is built again: the plan does not load on this GPU: the plan is for sm89, not sm90"
    ]
    assert len(library.builds) == 1
    assert session.run({"pictures": pictures(2)})["colours"].shape == (2, 3, 8, 1)
    caplog.clear()
    machine()
    open_session(manifest)
    assert caplog.messages == []


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:60] + b"x" + data[61:]]
)
def test_a_damaged_plan_never_reaches_tensorrt(damage, machine, manifest, tmp_path, caplog):
    machine()
    open_session(manifest)
    plan = one_plan(tmp_path)
    plan.write_bytes(damage(plan.read_bytes()))
    library = machine()
    open_session(manifest)
    assert len(library.builds) == 1
    assert caplog.messages == [f"{plan} is damaged and is made again"]


def test_a_folder_that_cannot_be_written_costs_a_line(machine, manifest, tmp_path, caplog):
    (tmp_path / "plans").write_text("in the way")
    machine()
    given = pictures(2)
    assert open_session(manifest).run({"pictures": given})["colours"] == pytest.approx(expected(given))
    assert [message.startswith(f"{tmp_path / 'plans'} cannot be written") for message in caplog.messages] == [
        True
    ]


def no_library(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)


def no_gpu(machine, monkeypatch):
    machine()

    def refuse():
        raise TensorRtError("cudaGetDevice: no CUDA-capable device is detected")

    monkeypatch.setattr(opening, "CudaGpu", refuse)


def no_build(machine, monkeypatch):
    machine().fails = "Could not find any implementation\nfor node conv."


def no_shapes(machine, monkeypatch):
    machine()

    def explode(context):
        raise RuntimeError("shape inference failed")

    monkeypatch.setattr(testing._Context, "infer_shapes", explode)


@pytest.mark.parametrize(
    ("lack", "reason"),
    [
        (no_library, "it is not installed: "),
        (no_gpu, "cudaGetDevice: no CUDA-capable device is detected"),
        (no_shapes, "RuntimeError: shape inference failed"),
        (no_build, "the network cannot be built: Could not find any implementation for node conv."),
    ],
)
def test_without_tensorrt_onnxruntime_runs_it_and_one_line_says_why(
    lack, reason, machine, manifest, monkeypatch, caplog
):
    lack(machine, monkeypatch)
    session = open_session(manifest)
    assert isinstance(session, OrtSession)
    given = pictures(3)
    assert session.run({"pictures": given})["colours"] == pytest.approx(expected(given))
    (line,) = caplog.messages
    assert line.startswith(f"engine tiny: onnxruntime runs it, TensorRT cannot: {reason}")
    assert "\n" not in line


def test_on_the_processor_nothing_is_asked_and_nothing_said(machine, manifest, caplog):
    library = machine()
    assert isinstance(open_session(manifest, device="cpu"), OrtSession)
    assert (library.builds, caplog.messages) == ([], [])


def test_a_network_that_tensorrt_cannot_read(machine, manifest):
    machine()
    with pytest.raises(TensorRtError, match=r"the network cannot be read: \[0\] engine fake"):
        open_tensorrt(manifest, NETWORK[:50])


def test_a_wrong_shape_is_explained(machine, manifest):
    machine()
    session = open_session(manifest)
    with pytest.raises(
        TensorError, match=r"engine tiny: 'pictures' \(any, 3, 64, 32\) float32 is wanted, \(2, 3, 9, 9\)"
    ):
        session.run({"pictures": np.zeros((2, 3, 9, 9), np.float32)})


def test_memory_is_given_back(machine, manifest):
    library = machine()
    session = open_session(manifest)
    session.run({"pictures": pictures(9)})
    session.close()
    assert library.gpu.held == {}


def test_memory_is_given_back_when_nothing_comes_of_it(machine, manifest):
    library = machine()
    library.fails = "no"
    library.gpu.memory(10)
    with pytest.raises(TensorRtError, match="cannot be built: no"):
        open_tensorrt(manifest, NETWORK)
    assert library.gpu.held == {}
