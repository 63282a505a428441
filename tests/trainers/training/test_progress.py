import json
from pathlib import Path

import pytest

from trainers.training.progress import LOG, Progress


def test_says_the_time_left_and_logs_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    progress = Progress(tmp_path, 100, clock=lambda: now)
    for step in range(1, 31):
        now = 0.5 * step
        progress.step(step, {"loss": 1 / step})
    progress.close()
    said = capsys.readouterr().err.splitlines()
    assert said == ["step 20 of 100: loss 0.05; 0.5 s a step, 40 s left"]
    rows = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert rows[9]["loss"] == 0.1


def test_a_resumed_run_drops_what_it_will_do_again(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3, "lo')
    progress = Progress(tmp_path, 4, done=1)
    progress.step(2, {"loss": 5.0})
    progress.close()
    rows = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 3}, {"step": 2, "loss": 5.0}]


def test_the_pace_of_a_resumed_run_is_its_own(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("")
    progress = Progress(tmp_path, 1000, done=900, clock=lambda: 0.0)
    progress.close()
    assert progress.line(910, {"loss": 1.0}, 10.0) == "step 910 of 1000: loss 1; 1 s a step, 90 s left"
