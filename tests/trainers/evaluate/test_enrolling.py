"""Who is enrolled for a measurement is enrolled as at the desk: what it refuses, they refuse."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline import build
from pipeline.cli.main import main
from pipeline.config import Config, load_config
from pipeline.desk.desk import Desk, open_desk
from pipeline.desk.equipment import Equipment
from pipeline.errors import InputError
from pipeline.watchlist.roster import WatchlistStore
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import person
from trainers.evaluate.demo import enrol_all
from trainers.evaluate.enrolling import Photo, enrol_photo

CONFIG = """
version: 1
embedder: {use: colour}
tracks: {min_height_px: 120}
decision: {max_distance: 0.4}
"""


def site(folder: Path, height: int) -> tuple[Config, Photo]:
    image = folder / f"{height}.jpg"
    image.write_bytes(CODEC.encode(person(height), 95))
    (folder / "c.yaml").write_text(CONFIG)
    return load_config(folder / "c.yaml"), Photo("p1", "One", image)


def enrolled(config: Config) -> list[str]:
    with WatchlistStore.in_folder(config.data_dir) as store:
        return [identity.id for identity in store.identities()]


@pytest.mark.parametrize(("height", "found"), [(100, []), (130, ["p1"])])
def test_a_photo_that_is_too_small_is_refused_at_every_door(
    tmp_path: Path, height: int, found: list[str]
) -> None:
    config, photo = site(tmp_path, height)
    add = ["watchlist", "add", "-c", str(tmp_path / "c.yaml"), "--id", "p1", "--whole"]
    assert main([*add, "--image", str(photo.image)]) == (0 if found else 3)
    assert enrolled(config) == found
    for enrol in (lambda: enrol_all(config, [photo]), lambda: in_a_measurement(config, photo)):
        with open_desk(config) as desk:
            for identity in desk.roll().identities:
                desk.remove(identity.id)
        if found:
            enrol()
        else:
            with pytest.raises(InputError, match=r"cannot be enrolled from .*100\.jpg: 50x100 px; 120 px"):
                enrol()
        assert enrolled(config) == found


def in_a_measurement(config: Config, photo: Photo) -> None:
    """As `evaluate clips` does, with plugins that run already."""
    with ExitStack() as opened:
        store = opened.enter_context(WatchlistStore.in_folder(config.data_dir))
        enrol_photo(
            Desk(store, Equipment(config, build.open_looks(config, opened, build.guests(config)))), photo
        )
