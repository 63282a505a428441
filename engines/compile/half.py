"""An ONNX network in half precision: float16 inside, float32 at its inputs and outputs."""

import warnings

from engines.errors import EngineFileError

IN_FLOAT32 = ("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
"""What overflows: float16 ends at 65504, which the square of 256 passes."""


def to_half(data: bytes, name: str) -> bytes:
    """The network with float16 weights and sums.

    The precision lives in the graph, so that onnxruntime and every TensorRT compute the same.

    Args:
        data: An ONNX file of float32.
        name: The engine's, for messages.

    Raises:
        EngineFileError: The converter cannot do it.
    """
    import onnx
    from onnxruntime.transformers import float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, *IN_FLOAT32]
    try:
        model = onnx.load_from_string(data)
        # of a constant that is listed there, the converter makes a cast for each user, all under one name
        del model.graph.value_info[:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line for each weight too small for float16; the gate judges
            model = float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked)
            OnnxModel.graph_topological_sort(model.graph)  # its casts are at the end
            onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the converter has no base class of its own
        raise EngineFileError(
            f"engine {name}: it cannot be made float16: {' '.join(str(error).split())[:300]}",
            "build fp32, or give a network of float32",
        ) from error
    half: bytes = model.SerializeToString(deterministic=True)
    return half
