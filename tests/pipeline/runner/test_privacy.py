"""What a run keeps about people is private, and goes with them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.runner.runner import Runner
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.sqlite_roster import FILE_NAME
from pipeline.watchlist.vectors import to_blob
from plugins.embedders.colour import ColourEmbedder
from tests.pipeline.runner.rig import NOW, SCRIPTS, Camera, Rig, clip, play, plug_in, run_until
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, RED, person
from tests.support.walks import HEIGHT_PX
from tests.tools.byte_search import traces

NAME, PURPOSE = "Anna Karenina", "a lost ticket"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


@pytest.fixture
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def enrol(rig: Rig) -> dict[str, bytes]:
    """Enrols somebody with a name and a purpose; what may be found of them on a disk."""
    jpeg = CODEC.encode(person(HEIGHT_PX, RED), 95)
    with WatchlistStore.in_folder(rig.data_dir) as store:
        store.add(Identity("anna-k", NAME, PURPOSE, None, NOW), [NewPicture(jpeg, NOW)])
    blob = to_blob(ColourEmbedder(ColourEmbedder.Config()).embed([CODEC.decode(jpeg)])[0])
    return {
        "id": b"anna-k",
        "name": NAME.encode(),
        "purpose": PURPOSE.encode(),
        "picture": jpeg[-200:-140],  # no table that all pictures have
        "vector": max((blob[at : at + 64] for at in range(0, 960, 64)), key=lambda part: len(set(part))),
    }


@pytest.mark.usefixtures("_open_umask")
def test_everything_that_a_run_leaves_is_this_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch)
    rig = Rig(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)
    rig.enrol("anna", RED)
    play("door", clip(20, RED))
    config = rig.config("door", sinks=[{"use": "jsonl", "path": "out/hits.jsonl"}])
    assert Runner(config).run().hits == 1
    paths = list(tmp_path.rglob("*"))
    assert {"hits.jsonl", "outbox.db", "watchlist.db", "evidence"} <= {path.name for path in paths}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert modes == {path.name: 0o700 if path.is_dir() else 0o600 for path in paths}


def test_what_is_left_of_somebody_who_was_removed_is_known(rig: Rig) -> None:
    """Nothing in the watchlist from then on; in the end the id alone, by which the pictures in evidence are found."""
    needles = enrol(rig)
    rig.enrol("luca", BLUE)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    steps: list[dict[str, list[str]]] = []

    def removed(status: object) -> bool:
        if rig.story:
            steps.append(traces(rig.data_dir, needles))
            with WatchlistStore.in_folder(rig.data_dir) as store:
                assert store.remove("anna-k") is (len(steps) == 1)
        return len(steps) == 2

    run_until(rig.config("door"), removed)
    watchlist = {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"}
    held = [{what for what, files in step.items() if watchlist & set(files)} for step in steps]
    assert held == [set(needles), set()]
    left = {what: files for what, files in traces(rig.data_dir, needles).items() if files}
    assert left == {"id": ["outbox.db"]}
    assert traces(rig.folder, needles)["name"] == ["hits.jsonl"]
