"""A verifier written as graphs for onnxruntime, held against torch."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.errors import EngineError, EngineFileError, GateError
from engines.examine import sample_pictures
from engines.export import OPSET, as_onnx, graph_bytes
from engines.files import replace_file, write_engine
from engines.lmm.graph_modules import DecoderGraph, TowerGraph
from engines.lmm.graphs import QUESTION, VISION, question_digest
from engines.lmm.model import VisionLanguageModel, open_model
from engines.lmm.pack import Packed, pack
from engines.lmm.pairs import open_pairs
from engines.lmm.parts import Parts, marked, split_prefix, split_suffix
from engines.lmm.pictures import Picture, prepare
from engines.lmm.question import PairQuestion
from engines.manifest import Manifest, load_manifest

KIND = "qwen2_vl"
TOLERANCE = 1e-4


def export_verifier(checkpoint: Path, out: Path) -> Manifest:
    """Writes `out/NAME.onnx`, `.vision.onnx`, `.question.onnx` and the manifest; what is there is replaced.

    Args:
        checkpoint: Manifest of a Qwen2-VL folder with a question.
        out: Made when missing.

    Returns:
        The manifest, as it was written.

    Raises:
        EngineError: It cannot be opened, or is of another architecture.
        GateError: The graphs answer otherwise than torch.
    """
    source = load_manifest(checkpoint)
    if source.path.suffix == ".onnx":
        raise EngineError(f"engine {source.name} is made of graphs already", "give the folder of its weights")
    model = open_model(source)
    kind = model.network.config.model_type
    if kind != KIND:
        raise EngineError(
            f"engine {source.name} is a {kind}, and graphs are made of {KIND} only", "run it on torch"
        )
    where = f"engine {source.name}"
    rows, columns = (side // model.grid.patch_px for side in source.preprocess.size)
    with torch.no_grad():
        decoder = _decoder(model, where)
        others = {
            f"{source.name}{VISION}": _tower(model, rows, columns, where),
            f"{source.name}{QUESTION}": _constants(_question(model, source)),
        }
    with tempfile.TemporaryDirectory() as draft:
        difference = _difference(source, _written(source, Path(draft), decoder, others))
    if not difference <= TOLERANCE:
        raise GateError(
            f"engine {source.name}: its graphs and torch differ by {difference:.2g}, more than {TOLERANCE}",
            "run it on torch",
        )
    accuracy = source.accuracy | {"gate": {"largest difference of a logit": float(f"{difference:.2g}")}}
    return _written(source, out, decoder, others, accuracy=accuracy)


def _written(
    source: Manifest, out: Path, decoder: bytes, others: Mapping[str, bytes], **keys: Any
) -> Manifest:
    files = {name: hashlib.sha256(data).hexdigest() for name, data in others.items()}
    target = as_onnx(source, out, precision="fp32", files=files, **keys)
    folder = target.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in others.items():
            replace_file(folder / name, data)
    except OSError as error:
        raise EngineFileError(
            f"engine {source.name}: {folder} cannot be written: {error.strerror or error}",
            "choose another folder",
        ) from None
    return write_engine(target, decoder)


def _tower(model: VisionLanguageModel, rows: int, columns: int, where: str) -> bytes:
    tower = model.network.model.visual
    module = TowerGraph(tower, rows, columns).eval()
    patches = torch.zeros(2, rows * columns, tower.patch_embed.proj.weight[0].numel())
    return graph_bytes(
        module, {"patches": patches}, ["tokens"], ({0: torch.export.Dim("pictures")},), f"{where}, its tower"
    )


def _decoder(model: VisionLanguageModel, where: str) -> bytes:
    module = DecoderGraph(model.network.model.language_model, model.answer_rows).eval()
    config = model.network.config.text_config
    width = config.hidden_size // config.num_attention_heads
    examples = {
        "vectors": torch.zeros(2, 5, config.hidden_size),
        "cos": torch.zeros(5, width),
        "sin": torch.zeros(5, width),
        "past": torch.zeros(2 * config.num_hidden_layers, 2, config.num_key_value_heads, 7, width),
    }
    rows, tokens, past = (torch.export.Dim(name) for name in ("rows", "tokens", "past"))
    free = ({0: rows, 1: tokens}, {0: tokens}, {0: tokens}, {1: rows, 3: past})
    return graph_bytes(module, examples, ["logits", "memory"], free, f"{where}, its decoder")


def _question(model: VisionLanguageModel, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """The constants that `OnnxPairs` reads."""
    grid = model.grid
    constants: dict[str, NDArray[Any]] = {
        "made_for": question_digest(manifest),
        "grid": np.array([grid.patch_px, grid.merge, grid.frames], np.int64),
    }
    place = Picture(np.zeros((3, *manifest.preprocess.size), np.float32), b"")
    (seen,) = model.look([place])
    start, longest = 0, 0
    for name, parts in _stretches(manifest, place).items():
        packed = pack(parts, {place.key: seen}, model.embed)
        if name == "rest":
            start = longest
        constants |= _as_constants(name, packed, start, model)
        longest = max(longest, start + packed.end)
        if name == "opening":
            start = packed.end
    return constants


def _stretches(manifest: Manifest, place: Picture) -> dict[str, Parts]:
    prompt, _ = manifest.question
    question = PairQuestion(prompt, manifest.layout)
    if manifest.layout == "late":
        return {
            "opening": [question.opening],
            "first": marked([question.announces_first, place]),
            "second": marked([question.announces_second, place]),
            "rest": [question.after],
        }
    prefix = question.until_first(place)
    opening, own = split_prefix(prefix)
    return {"opening": [opening], "first": own, "rest": split_suffix(prefix, question.from_second(place))}


def _as_constants(
    name: str, packed: Packed, start: int, model: VisionLanguageModel
) -> Mapping[str, NDArray[np.float32]]:
    """The words before and after the picture of a stretch, and cosine and sine of all its places."""
    shown = packed.seen.nonzero()[:, 0].tolist() or [len(packed)]
    before, after = packed.vectors[: shown[0]], packed.vectors[shown[-1] + 1 :]
    turn = model.network.model.language_model.rotary_emb(packed.vectors, (packed.positions + start)[:, None])
    return {
        f"{name}_before": before.numpy(),
        f"{name}_after": after.numpy(),
        f"{name}_turn": torch.cat(turn).numpy(),
    }


def _constants(values: Mapping[str, NDArray[Any]]) -> bytes:
    """A graph without inputs that gives these."""
    import onnx

    nodes = [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value, name))
        for name, value in values.items()
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in values.items()
    ]
    graph = onnx.helper.make_graph(nodes, "question", [], outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _difference(source: Manifest, written: Manifest) -> float:
    """The largest one between logits of torch and of the graphs."""
    pictures = prepare(sample_pictures(4, source.preprocess.size), source.preprocess)
    pairs = [(first, second) for first in pictures for second in pictures]
    wanted, found = (open_pairs(each, device="cpu", batch=3).score(pairs) for each in (source, written))
    return float(np.abs(wanted - found).max())
