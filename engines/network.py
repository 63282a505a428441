"""Networks on pictures: fed as a manifest says, in batches that a session takes, read as its role says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.decode import Boxes, Reading, decode
from engines.errors import EngineError, ManifestError, OutputError, TensorError
from engines.manifest import Decoder, Manifest
from engines.preprocess import STEP, Placement, Size, least_size, preprocess
from engines.sessions.base import ANY_BATCH, Session, TensorSpec

LEAST_DIMENSION = 2
SHAPED = (
    "yolox",
    "ultralytics",
    "end_to_end",
)  # kinds of decoders that read boxes in pixels, whatever the input's size


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said of one batch.

    Attributes:
        rows: Which pictures these are, from 0.
        size: Height, width of the input tensor.
        outputs: Raw, in the manifest's order or else the network's.
        batch: Pictures that went in, those included that only filled the batch up.
        placements: Where each picture lies in the input, without the filling.
    """

    rows: Sequence[int]
    size: Size
    outputs: list[NDArray[Any]]
    batch: int
    placements: list[Placement]


class PictureNetwork:
    """Runs pictures through a session, as many at once as manifest and network allow.

    Args:
        manifest: How pictures become tensors.
        session: The network; must have one input (N, 3, H, W) of floats.
        shaped: Pictures go in only as large as they need to be, those of one shape together.

    Raises:
        TensorError: The input tensor is not what the manifest makes, or an output that it names is missing.
    """

    def __init__(self, manifest: Manifest, session: Session, *, shaped: bool = False) -> None:
        self.manifest = manifest
        self._session = session
        self._shaped = shaped
        self._input = _picture_input(manifest, session)
        self._outputs = _wanted_outputs(manifest, session)
        self._fixed_batch = self._input.shape[0]
        self.max_batch: int = manifest.max_batch or self._fixed_batch or ANY_BATCH

    def run(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[Answer]:
        """Yields one answer a batch; in order, but for pictures of several shapes where it is shaped.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        for size, rows in self._by_size(images).items():
            for start in range(0, len(rows), self.max_batch):
                batch = rows[start : start + self.max_batch]
                tensor, placements = preprocess(
                    [images[row] for row in batch], self.manifest.preprocess, size
                )
                missing = (self._fixed_batch or 0) - len(batch)
                if missing > 0:
                    tensor = np.concatenate([tensor, np.zeros((missing, *tensor.shape[1:]), tensor.dtype)])
                outputs = self._session.run({self._input.name: tensor.astype(self._input.dtype, copy=False)})
                yield Answer(batch, size, [outputs[name] for name in self._outputs], len(tensor), placements)

    def _by_size(self, images: Sequence[NDArray[np.uint8]]) -> dict[Size, Sequence[int]]:
        settings = self.manifest.preprocess
        if not self._shaped:
            return {settings.size: range(len(images))}
        rows: dict[Size, list[int]] = {}
        for row, image in enumerate(images):
            rows.setdefault(least_size(image, settings), []).append(row)
        return dict(rows)

    def dry_run(self, size: Size | None = None) -> Answer:
        """What it says of two black pictures, one where a call takes no more; of the input's size by default."""
        black = np.zeros((*(size or self.manifest.preprocess.size), 3), np.uint8)
        return next(self.run([black] * min(2, self.max_batch)))


class BoxNetwork:
    """Finds boxes in pictures.

    Args:
        manifest: Of a detector.
        session: Its network, tried once on black pictures.
        min_score: Boxes below are left out.
        nms_iou: Greatest overlap of two boxes that both stay, for networks that leave suppression to us.

    Raises:
        ManifestError: Not a detector.
        TensorError: Input or output do not fit the manifest.
    """

    def __init__(
        self, manifest: Manifest, session: Session, *, min_score: float = 0.3, nms_iou: float = 0.45
    ) -> None:
        if manifest.decoder is None:
            raise ManifestError(
                f"engine {manifest.name} is no detector, its role is {manifest.role}",
                "name a detector's manifest here",
            )
        self._decoder: Decoder = manifest.decoder
        self._min_score = min_score
        self._nms_iou = nms_iou
        self._network = PictureNetwork(manifest, session)
        self._read(self._network.dry_run())
        if _takes_any_size(manifest, session):
            self._use_shapes(session)

    def _use_shapes(self, session: Session) -> None:
        """Feeds pictures in the least shape that they need, where the network can work on others than the full one."""
        manifest = self._network.manifest
        height, width = manifest.preprocess.size
        network = PictureNetwork(manifest, session, shaped=True)
        try:
            for size in ((max(STEP, height - STEP), width), (height, max(STEP, width - STEP))):
                self._read(network.dry_run(size))
        except EngineError:  # some layer holds the full size after all
            return
        self._network = network

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """One result a BGR picture, in its own pixels, not clipped to it; sizes may differ.

        Raises:
            OutputError: The network's answer is not a number.
        """
        found: dict[int, Boxes] = {}
        for answer in self._network.run(images):
            for row, boxes, placement in zip(
                answer.rows, self._read(answer), answer.placements, strict=False
            ):
                found[row] = Boxes(placement.to_source(boxes.xyxy), boxes.score)
        return [found[row] for row in range(len(images))]

    def _read(self, answer: Answer) -> list[Boxes]:
        manifest = self._network.manifest
        reading = Reading(answer.size, answer.batch, self._min_score, self._nms_iou)
        try:
            return decode(answer.outputs, self._decoder, reading)
        except EngineError as error:
            raise type(error)(f"engine {manifest.name}: {error.problem}", error.fix) from None


class VectorNetwork:
    """Turns pictures into unit vectors.

    Args:
        manifest: Of an embedder.
        session: Its network, tried once on black pictures.

    Attributes:
        dimension: Length of a vector.

    Raises:
        ManifestError: Not an embedder.
        TensorError: Input or output do not fit the manifest, or a vector has one number only.
        OutputError: The network answers black pictures with what is not a number.
    """

    def __init__(self, manifest: Manifest, session: Session) -> None:
        if manifest.role != "embedder":
            raise ManifestError(
                f"engine {manifest.name} is no embedder, its role is {manifest.role}",
                "name an embedder's manifest here",
            )
        self._network = PictureNetwork(manifest, session)
        rows = self._rows(self._network.dry_run())
        if rows.shape[1] < LEAST_DIMENSION:
            raise TensorError(
                f"engine {manifest.name}: its vectors have {rows.shape[1]} number, which tells nobody apart",
                "name the embedding's output in outputs, or export the network without its last layer",
            )
        self._refuse(~np.isfinite(rows.sum(axis=1)), "is not a number")
        self.dimension: int = rows.shape[1]
        if manifest.dimension not in (None, self.dimension):
            raise TensorError(
                f"engine {manifest.name}: its vectors have {self.dimension} numbers, it says {manifest.dimension}",
                "correct the manifest's dimension, or the network's arguments",
            )

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit rows (N, D) of BGR pictures of any sizes.

        Raises:
            OutputError: A vector has no length or is not a number; the message says which picture's.
        """
        answers = [self._rows(answer)[: len(answer.placements)] for answer in self._network.run(images)]
        rows = np.concatenate([np.zeros((0, self.dimension), np.float32), *answers])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        self._refuse(~np.isfinite(lengths), "is not a number")
        self._refuse(lengths == 0, "has no length")
        unit: NDArray[np.float32] = rows / lengths
        return unit

    def _refuse(self, bad: NDArray[np.bool_], fault: str) -> None:
        """Raises when a picture's vector is bad."""
        if bad.any():
            raise OutputError(
                f"engine {self._network.manifest.name}: the vector of picture {int(bad.argmax()) + 1} "
                f"of {len(bad)} {fault}",
                "replace the engine's file",
            )

    def _rows(self, answer: Answer) -> NDArray[np.float32]:
        """The answer as (N, D): whatever follows the batch is flattened."""
        shapes = " and ".join(str(output.shape) for output in answer.outputs)
        if len(answer.outputs) != 1 or answer.outputs[0].shape[:1] != (answer.batch,):
            raise TensorError(
                f"engine {self._network.manifest.name}: an embedder gives one output ({answer.batch}, D) for "
                f"{answer.batch} pictures; the network gives {shapes}",
                "name the embedding's output in outputs; set max_batch: 1 where the batch size is not free",
            )
        return answer.outputs[0].reshape(answer.batch, -1).astype(np.float32)


def raw_rows(
    manifest: Manifest, session: Session, images: Sequence[NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """(N, D) all numbers that a network gives for each BGR picture.

    Raises:
        TensorError: Input or output do not fit the manifest, or an output is not one row a picture.
    """
    rows = []
    for answer in PictureNetwork(manifest, session).run(images):
        strange = [output.shape for output in answer.outputs if output.shape[:1] != (answer.batch,)]
        if strange:
            raise TensorError(
                f"engine {manifest.name}: the network gives {strange[0]} for {answer.batch} pictures",
                "name outputs with one row a picture in outputs; set max_batch: 1 where the batch size is not free",
            )
        flat = [output.reshape(answer.batch, -1) for output in answer.outputs]
        rows.append(np.concatenate(flat, axis=1)[: len(answer.placements)].astype(np.float32))
    return np.concatenate(rows)


def try_out(manifest: Manifest, session: Session) -> int | None:
    """Runs it once; returns the length of an embedder's vectors, None for other roles.

    Raises:
        EngineError: Input or output are not what the manifest says.
    """
    if manifest.role == "embedder":
        return VectorNetwork(manifest, session).dimension
    if manifest.role == "detector":
        BoxNetwork(manifest, session)
    else:
        PictureNetwork(manifest, session).dry_run()
    return None


def _picture_input(manifest: Manifest, session: Session) -> TensorSpec:
    """The one input, when the manifest's pictures go in."""
    if len(session.inputs) != 1:
        raise TensorError(
            f"engine {manifest.name}: the network wants {len(session.inputs)} inputs "
            f"({', '.join(str(spec) for spec in session.inputs)}), and only pictures are given",
            "export it with the picture as its one input",
        )
    (spec,) = session.inputs
    expected = (manifest.max_batch if spec.shape[:1] != (None,) else None, 3, *manifest.preprocess.size)
    fits = len(spec.shape) == 4 and all(
        a is None or b is None or a == b for a, b in zip(spec.shape, expected, strict=True)
    )
    if not fits or spec.dtype not in ("float32", "float16"):
        made = TensorSpec(spec.name, expected, "float32")
        raise TensorError(
            f"engine {manifest.name}: the network's input is {spec}, the manifest makes {made}",
            "set preprocess.size (height, width) and max_batch to the network's, or export it for these",
        )
    return spec


def _takes_any_size(manifest: Manifest, session: Session) -> bool:
    """Whether a detector may be fed pictures in the shape of their stream."""
    fed = manifest.preprocess
    kind = manifest.decoder.kind if manifest.decoder else None
    free = all(side is None for side in session.inputs[0].shape[2:])
    return free and fed.shape == "stream" and fed.resize != "stretch" and kind in SHAPED


def _wanted_outputs(manifest: Manifest, session: Session) -> list[str]:
    """Names of the outputs to read."""
    known = [spec.name for spec in session.outputs]
    missing = [name for name in manifest.outputs or () if name not in known]
    if missing:
        raise TensorError(
            f"engine {manifest.name}: the network has no output {', '.join(missing)}",
            f"name some of: {', '.join(known)}",
        )
    return list(manifest.outputs or known)
