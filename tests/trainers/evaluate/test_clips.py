"""What is measured is what runs: one recording gives the same hits by a run, by the loop and by `evaluate clips`."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import build
from pipeline.deliver.events import to_event
from pipeline.runner.runner import Runner
from tests.pipeline.runner.rig import Rig, inline, plug_in
from tests.support.pictures import BLUE, GREEN, RED
from tests.support.walks import walk, write_walk
from trainers.evaluate.clips import identify
from trainers.evaluate.passes import record, remembered_detections, remembered_vectors


def test_a_run_the_loop_and_a_measurement_give_the_same_hits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch)
    rig = Rig(tmp_path)
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    clip = write_walk(tmp_path / "door.mp4", walk(40, RED, GREEN, BLUE))
    source = {"use": "file", "path": str(clip), "pace": "fast"}
    config = rig.config(streams=[{"id": "door", "source": source}])

    Runner(config).run()
    ran = rig.events
    assert sorted(who for _, who, state in rig.story if state == "opened") == ["anna", "luca"]

    with ExitStack() as opened:
        loop = inline(config, opened)
        frames = opened.enter_context(closing(build.source_factory(config, config.streams[0])().frames()))
        hits = [hit for frame in frames for hit in loop.push(replace(frame, stream_id="door"))[1]]
        looped = [to_event(hit, config.site) for hit in (*hits, *loop.finish())]
    assert looped == ran

    with ExitStack() as opened:
        guests = build.guests(config)
        detector = remembered_detections(build.open_detector(config, opened, guests))
        plain = build.open_looks(config, opened, guests)
        looks = replace(plain, embedder=remembered_vectors(plain.embedder))
        judges = build.open_judges(config, opened, guests)
        for _ in range(2):  # the second time from memory
            measured = identify(config, looks, judges, record(config, detector, looks, clip))
            assert [to_event(hit, config.site) for hit in measured] == ran
