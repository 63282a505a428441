"""A detector's network on pictures whose truth is known: fed, read and scored as the stream would."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engines.decode import Reading, decode
from engines.manifest import Manifest
from engines.preprocess import preprocess
from trainers.detection.picture_store import Picture, PictureStore
from trainers.metrics.boxes import BoxScores, Found, Truth, box_scores

LEAST_VISIBLE, LEAST_PX = 0.5, 40  # who counts: half of the body seen, that tall in the picture
MIN_SCORE, NMS_IOU = 0.02, 0.45
BATCH = 16


def judge(network: torch.nn.Module, card: Manifest, store: PictureStore) -> BoxScores:
    """Scores of a network, as its card says how to feed and read it, on all pictures of a store."""
    truths = [truth_of(store[number]) for number in range(len(store))]
    return box_scores(truths, list(_answers(network, card, store)))


def truth_of(picture: Picture) -> Truth:
    """Everybody in a picture, and who of them counts."""
    tall = picture.boxes[:, 3] - picture.boxes[:, 1] >= LEAST_PX
    return Truth(picture.boxes, tall & (picture.visible >= LEAST_VISIBLE))


@torch.inference_mode()
def _answers(network: torch.nn.Module, card: Manifest, store: PictureStore) -> Iterator[Found]:
    assert card.decoder is not None
    device = next(network.parameters()).device
    with _evaluating(network):
        for start in range(0, len(store), BATCH):
            images = [store[number].image for number in range(start, min(len(store), start + BATCH))]
            tensor, placements = preprocess(images, card.preprocess)
            rows = network(torch.from_numpy(tensor).to(device)).float().cpu().numpy()
            reading = Reading(card.preprocess.size, len(images), MIN_SCORE, NMS_IOU)
            for boxes, placement in zip(decode([rows], card.decoder, reading), placements, strict=True):
                yield Found(placement.to_source(boxes.xyxy), boxes.score)


@contextmanager
def _evaluating(network: torch.nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
