"""The ONNX detector: every kind of decoder, from a file to boxes in source pixels."""

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.testing import brightness_network, write_engine
from pipeline.errors import ConfigError
from pipeline.messages import Clock, Frame
from pipeline.registry import build
from pipeline.settings import choose
from plugins.detector_onnx import OnnxDetector
from tests.oracles import raw_answers

SIZE = (160, 224)
BOXES = np.float32([[10, 20, 50, 120], [100, 8, 140, 100], [150, 30, 210, 155]])
SCORES = np.float32([0.9, 0.75, 0.6])
KINDS = {
    "yolox": raw_answers.yolox(BOXES, SCORES, SIZE, (8, 16, 32)),
    "ultralytics": raw_answers.ultralytics(BOXES, SCORES),
    "end_to_end": raw_answers.end_to_end(BOXES, SCORES),
    "detr": raw_answers.detr(BOXES, SCORES, SIZE, "sigmoid"),
    "ssd": raw_answers.ssd(BOXES, SCORES, SIZE),
}


def engine(folder, kind="ultralytics", batch=None, **keys):
    """A detector that finds BOXES in a white picture, and in darker ones less of everything."""
    outputs = {f"out{i}": array for i, array in enumerate(KINDS[kind])}
    return write_engine(
        folder,
        brightness_network(outputs, SIZE, batch),
        **{
            "role": "detector",
            "preprocess": {"colour": "bgr", "resize": "letterbox_top_left", "pad": 255, "size": list(SIZE)},
            "decoder": {"kind": kind, "person_class": 1},
            **keys,
        },
    )


def detector(path, **settings):
    return OnnxDetector(OnnxDetector.Config(engine=path, **settings))


def frame(height=SIZE[0], width=SIZE[1], grey=255):
    image = np.full((height, width, 3), grey, np.uint8)
    return Frame("s", 0, image, 0.0, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resize", ["letterbox_top_left", "letterbox_centre", "stretch"])
def test_boxes_come_back_in_pixels_of_the_frame(kind, resize, tmp_path):
    path = engine(
        tmp_path,
        kind,
        batch=1 if kind == "ssd" else None,
        preprocess={"colour": "bgr", "resize": resize, "pad": 255, "size": list(SIZE)},
    )
    (found,) = detector(path).detect([frame(471, 448)])  # odd: 160/471 wins over 224/448

    if resize == "stretch":
        expected = BOXES * np.float32([2, 471 / 160, 2, 471 / 160])
    else:
        left = (224 - 448 * 160 / 471) / 2 if resize == "letterbox_centre" else 0
        expected = (BOXES - np.float32([left, 0, left, 0])) * (471 / 160)
    assert found.xyxy == pytest.approx(np.clip(expected, 0, [448, 471, 448, 471]), abs=2)
    assert found.score == pytest.approx(SCORES, abs=1e-4)


@pytest.mark.parametrize(("batch", "max_batch"), [(None, None), (None, 2), (1, None), (4, 4)])
def test_frames_of_all_streams_go_together(batch, max_batch, tmp_path):
    detect = detector(engine(tmp_path, batch=batch, max_batch=max_batch), min_height_px=1).detect
    frames = [
        frame(160, 224),
        frame(96, 130, grey=128),
        frame(720, 1280),
        frame(50, 50, grey=0),
        frame(30, 99),
    ]

    together = detect(frames)

    assert [len(found) for found in together] == [3, 3, 3, 0, 3]
    assert together[1].score.max() < 0.8 < together[2].score.max()
    for one, found in zip(frames, together, strict=True):
        (alone,) = detect([one])
        assert found.xyxy == pytest.approx(alone.xyxy, abs=1e-3)
        assert found.score == pytest.approx(alone.score, abs=1e-6)


def test_boxes_are_clipped_and_the_small_left_out(tmp_path):
    boxes = np.float32([[-20, -30, 60, 100], [30, 40, 50, 79], [230, 10, 260, 90], [100, 130, 120, 190]])
    scores = np.float32([0.9, 0.8, 0.7, 0.6])
    outputs = dict(zip("o", raw_answers.end_to_end(boxes, scores), strict=True))
    keys = {"role": "detector", "decoder": {"kind": "end_to_end", "person_class": 1}}
    stretched = {"colour": "bgr", "resize": "stretch", "size": list(SIZE)}
    path = write_engine(tmp_path, brightness_network(outputs, SIZE), preprocess=stretched, **keys)

    (found,) = detector(path, min_height_px=40).detect([frame()])
    assert found.xyxy == pytest.approx(np.float32([[0, 0, 60, 100]]), abs=1e-3)

    (found,) = detector(path, min_height_px=30).detect([frame()])
    assert [round(float(box[3] - box[1])) for box in found.xyxy] == [100, 39, 30]


def test_the_cut_on_scores(tmp_path):
    path = engine(tmp_path)
    assert [len(detector(path, min_score=cut).detect([frame()])[0]) for cut in (0.5, 0.7, 0.8, 0.95)] == [
        3,
        2,
        1,
        0,
    ]


def test_the_overlap_that_stays(tmp_path):
    twice = np.concatenate([BOXES, BOXES + 8])
    answer = raw_answers.ultralytics(twice, np.tile(SCORES, 2) - np.float32([0, 0, 0, 0.1, 0.1, 0.1]))
    keys = {"role": "detector", "decoder": {"kind": "ultralytics", "person_class": 1}}
    stretched = {"colour": "bgr", "resize": "stretch", "size": list(SIZE)}
    path = write_engine(tmp_path, brightness_network({"o": answer[0]}, SIZE), preprocess=stretched, **keys)
    assert len(detector(path, nms_iou=0.4).detect([frame()])[0]) == 3
    assert len(detector(path, nms_iou=0.9).detect([frame()])[0]) == 6


def test_a_config_names_the_engine_from_where_it_lies(tmp_path):
    engine(tmp_path / "engines")
    made = build("detector", choose("onnx", engine="engines/tiny.yaml"), tmp_path, "detector")
    assert made.engine_digest.startswith("sha256:")
    with pytest.raises(ConfigError, match="did you mean 'min_score'"):
        build("detector", choose("onnx", engine="engines/tiny.yaml", min_scor=1), tmp_path, "detector")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"sha256": "0" * 64}, "sha256"),
        ({"decoder": {"kind": "yolox"}}, r"reads one of \(2, 735, any\).*gives \(2, 7, 40\)"),
        ({"preprocess": {"colour": "bgr", "resize": "stretch", "size": [96, 96]}}, r"\(any, 3, 160, 224\)"),
        ({"role": "embedder", "decoder": None}, "no detector"),
    ],
)
def test_an_engine_that_does_not_fit_stops_the_start(keys, says, tmp_path):
    path = engine(tmp_path, **keys)
    with pytest.raises(EngineError, match=says) as caught:
        build("detector", choose("onnx", engine=str(path)), tmp_path, "detector")
    assert caught.value.exit_code == 2


@pytest.fixture(scope="module")
def yolo11n(tmp_path_factory):
    """The real architecture without training, exported twice: folder with raw.onnx and nms.onnx."""
    folder = tmp_path_factory.mktemp("yolo")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)  # exports are written to the working directory
        for name, value in {"OFFLINE": "true", "AUTOINSTALL": "false", "CONFIG_DIR": str(folder)}.items():
            patch.setenv(f"YOLO_{name}", value)
        warnings.simplefilter("ignore")  # the exporter uses torch's deprecated one
        torch = pytest.importorskip("torch")
        ultralytics = pytest.importorskip("ultralytics")
        torch.manual_seed(0)
        torch.set_num_threads(1)
        config = Path(ultralytics.__file__).parent / "cfg/models/11/yolo11.yaml"
        Path("yolo11n.yaml").write_text(config.read_text().replace("nc: 80", "nc: 1"))
        yolo = ultralytics.YOLO("yolo11n.yaml", verbose=False)
        wake_up(torch, yolo.model)
        for name, nms in (("raw", None), ("nms", True)):
            keys = {"imgsz": 160, "nms": nms, "conf": 1e-4, "iou": 0.5, "dynamic": True, "simplify": False}
            Path(yolo.export(format="onnx", verbose=False, **keys)).rename(f"{name}.onnx")
    return folder


def wake_up(torch, network):
    """Gives batch norms the statistics of noise, so that an untrained network answers places differently."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(4, 3, 160, 160))
        for head in network.model[-1].cv3:
            head[-1].weight *= 0.1  # or the scores are all 0 or 1
    network.eval()


@pytest.mark.torch
@pytest.mark.parametrize("export", ["raw", "nms"])
def test_exports_of_ultralytics_are_read_as_their_makers_read_them(export, yolo11n, tmp_path):
    """On noise, against ultralytics' own suppression of the same raw answer."""
    torch = pytest.importorskip("torch")
    from ultralytics.utils.nms import non_max_suppression

    from engines.manifest import load_manifest
    from engines.sessions.open import open_session

    keys = {
        "role": "detector",
        "preprocess": {"colour": "rgb", "scale": 1 / 255, "resize": "stretch", "size": [160, 160]},
        "decoder": {"kind": "ultralytics"},
    }
    raw = write_engine(tmp_path / "raw", (yolo11n / "raw.onnx").read_bytes(), **keys)
    path = write_engine(tmp_path / export, (yolo11n / f"{export}.onnx").read_bytes(), **keys)
    image = np.random.default_rng(3).integers(0, 256, (160, 160, 3), np.uint8)
    tensor = image[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    answer = open_session(load_manifest(raw)).run({"images": tensor})["output0"]
    cut = float(np.quantile(answer[0, 4], 0.7))
    (expected,) = non_max_suppression(torch.from_numpy(answer), conf_thres=cut, iou_thres=0.5)

    noise = Frame("s", 0, image, 0.0, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)
    (found,) = detector(path, min_score=cut, nms_iou=0.5, min_height_px=1).detect([noise])

    clipped = np.clip(expected[:, :4].numpy(), 0, 160)
    assert len(found) > 10
    assert found.score == pytest.approx(expected[:, 4].numpy(), abs=1e-4)
    assert found.xyxy == pytest.approx(clipped, abs=0.05)
