"""A detector for another size of input: the shape of the streams that it will see."""

from engines.errors import EngineError, EngineFileError
from engines.manifest import Manifest
from engines.network import try_out
from engines.preprocess import STEP, Size
from engines.sessions.ort import OrtSession


def for_size(source: Manifest, size: Size) -> Manifest:
    """The manifest for pictures of another size; its file is still the same.

    Raises:
        EngineError: It is no detector, or a side is no multiple of 32.
    """
    if source.preprocess.size == size:
        return source
    if source.role != "detector":
        raise EngineError(
            f"engine {source.name} is a {source.role}, and its pictures have the size that it was trained with",
            "leave --size out",
        )
    if any(side % STEP for side in size):
        raise EngineError(
            f"{size[0]},{size[1]} is no size for a detector: its sides must be multiples of {STEP}",
            f"for 16:9 say 256,416 or 352,640; never below {STEP}",
        )
    fed = source.preprocess.model_dump(exclude_unset=True) | {"size": size}
    return source.derived(source.path.parent, preprocess=fed)


def resized(data: bytes, manifest: Manifest) -> bytes:
    """An ONNX file for the size that a manifest says, its weights as they are.

    Raises:
        EngineFileError: A layer holds the size that it was exported for.
        EngineError: It cannot be run.
    """
    import onnx

    model = onnx.load_from_string(data)
    given = next(each for each in model.graph.input if len(each.type.tensor_type.shape.dim) == 4)
    for dimension, side in zip(given.type.tensor_type.shape.dim[2:], manifest.preprocess.size, strict=True):
        dimension.Clear()
        dimension.dim_value = side
    del model.graph.value_info[:]
    for answer in model.graph.output:
        answer.type.tensor_type.ClearField("shape")
    made: bytes = model.SerializeToString(deterministic=True)
    try:
        try_out(manifest, OrtSession(made, manifest.name, device="cpu"))
    except EngineError as error:
        height, width = manifest.preprocess.size
        raise EngineFileError(
            f"engine {manifest.name}: a layer of it holds the size that it was exported for: {error.problem}",
            f"export it for {height} x {width}, or with free sizes",
        ) from None
    return made
