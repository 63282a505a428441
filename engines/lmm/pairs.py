"""Opens a verifier by what its manifest names: weights for torch, or graphs for onnxruntime."""

from engines.errors import EngineError
from engines.lmm.answers import PairScorer
from engines.lmm.question import PairQuestion
from engines.manifest import Manifest
from engines.sessions.base import Device
from pipeline.extras import cure

BATCH, VISION_MB, READ_MB = 8, 256, 1024
_LATE = 8  # pairs that take as long as an exact one


def open_pairs(
    manifest: Manifest,
    *,
    device: Device = "auto",
    batch: int = BATCH,
    vision_mb: int = VISION_MB,
    read_mb: int = READ_MB,
) -> PairScorer:
    """A verifier that is ready to be asked; on a GPU torch computes in bfloat16.

    Args:
        manifest: Of a verifier with a question.
        device: `auto` takes a GPU when there is one that works.
        batch: Pairs in one run; of the layout late eight times as many.
        vision_mb: Memory for pictures that were looked at.
        read_mb: Memory for pictures as the decoder has read them.

    Raises:
        EngineError: It cannot be used.
    """
    prompt, _ = manifest.question
    if manifest.path.suffix == ".onnx":
        from engines.lmm.graphs import OnnxPairs

        return OnnxPairs(manifest, device=device, batch=batch, vision_mb=vision_mb, read_mb=read_mb)
    try:
        import torch

        from engines.libraries import pick_device
        from engines.lmm.late import LatePairs
        from engines.lmm.model import open_model
        from engines.lmm.scorer import ExactPairs, Scorer
    except ImportError as error:
        raise EngineError(
            f"engine {manifest.name}: {error.name} runs it, and is not here", cure(["mllm"])
        ) from error

    on = pick_device(device)
    model = open_model(manifest, on, torch.bfloat16 if on == "cuda" else torch.float32)
    question = PairQuestion(prompt, manifest.layout)
    if manifest.layout == "late":
        return LatePairs(question, model, batch=_LATE * batch, vision_mb=vision_mb, read_mb=read_mb)
    scorer = Scorer(model, batch=batch, vision_mb=vision_mb, prefix_mb=read_mb)
    return ExactPairs(question, scorer)
