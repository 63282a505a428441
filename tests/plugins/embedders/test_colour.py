import numpy as np
import pytest

from plugins.embedders.colour import ColourEmbedder, unlike_edges
from tests.servers import hall
from tests.support.pictures import BLUE, GREEN, RED, person

EMBEDDER = ColourEmbedder(ColourEmbedder.Config())
WALL = 150


def apart(one: np.ndarray, other: np.ndarray) -> float:
    a, b = EMBEDDER.embed([one, other])
    return float(np.linalg.norm(a - b))


def before_wall(image: np.ndarray, wall: tuple[int, int, int]) -> np.ndarray:
    result = image.copy()
    result[(image == WALL).all(axis=2)] = wall
    return result


@pytest.mark.parametrize("shirt", [RED, GREEN, BLUE])
def test_one_person_changed_is_nearer_than_another_shirt(shirt: tuple[int, int, int]) -> None:
    image = person(160, shirt)
    others = [person(160, other) for other in (RED, GREEN, BLUE) if other != shirt]
    changes = {
        "smaller": person(60, shirt),
        "darker": (image * 0.85).astype(np.uint8),
        "before a beige wall": before_wall(image, (120, 145, 160)),
        "before a white wall": before_wall(image, (245, 245, 245)),
        "turned round": image[:, ::-1],
        "box too high": np.pad(image, ((8, 0), (0, 0), (0, 0)), constant_values=WALL)[:-8],
        "box too wide": np.pad(image, ((0, 0), (8, 8), (0, 0)), constant_values=WALL),
    }
    distances = {what: apart(image, changed) for what, changed in changes.items()}
    assert max(distances.values()) < min(apart(image, other) for other in others), distances
    assert distances["turned round"] < 0.01


def test_where_a_colour_is_worn_matters() -> None:
    """The same colours from the feet up are somebody else."""
    image = person()
    assert apart(image, image[::-1]) > ColourEmbedder.max_distance


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (72, 24), (1000, 500)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_any_crop_has_a_unit_vector(shape: tuple[int, int], value: int) -> None:
    row = EMBEDDER.embed([np.full((*shape, 3), value, np.uint8)])[0]
    assert np.isfinite(row).all()
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


def test_what_looks_like_the_edges_is_background() -> None:
    lab = np.zeros((72, 24, 3), np.float32)
    lab[20:50, 8:16] = (60, 40, 0)
    unlike = unlike_edges(lab)
    assert unlike[25:45, 8:16].min() > 0.99
    unlike[20:50, 8:16] = 0
    assert unlike.max() == 0


def test_people_of_the_demo_are_told_apart_across_cameras() -> None:
    """Labelled boxes of three cameras: the nearest picture from another camera shows the same person."""
    crops, who, camera = [], [], []
    for clip in ("hall-1", "hall-2", "hall-3"):
        for frame in hall.frames(clip, list(range(60, 420, 15))):
            for seen in hall.people(clip, frame.index):
                if seen.visibility > 0.9 and seen.height_px > 100:
                    crops.append(hall.crop(frame, seen.box))
                    who.append(seen.id)
                    camera.append(clip)
    rows, ids, cameras = EMBEDDER.embed(crops), np.array(who), np.array(camera)
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    distances[cameras[:, None] == cameras[None]] = np.inf
    known = [any((ids == ids[row]) & (cameras != cameras[row])) for row in range(len(ids))]
    right = (ids[distances.argmin(axis=1)] == ids)[known]
    assert len(right) > 40
    assert right.mean() > 0.8
