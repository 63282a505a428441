"""The protocol files that we ship: they load, and they stand for what they say."""

from pathlib import Path

import pytest

from trainers.evaluate.protocol_file import kinds_of, load_protocol, tuning_of

FOLDER = Path(__file__).parents[3] / "configs" / "protocols"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_loads_and_has_something_to_run(path):
    plan = load_protocol(path)
    assert any(kinds_of(plan, encoder, target) for encoder in plan.encoders for target in plan.searched)


def test_muse_has_the_runs_of_its_tables():
    plan = load_protocol(FOLDER / "muse.yaml")
    runs = {(e, t): kinds_of(plan, e, t) for e in plan.encoders for t in plan.searched}
    single = {run for run, kinds in runs.items() if "single_source" in kinds}
    assert single == {(a, b) for a in ("MA", "MS", "C3") for b in ("MA", "MS", "C3") if a != b}
    left_out = {run for run, kinds in runs.items() if "leave_one_out" in kinds}
    assert left_out == {("MA+MS+CS", "C3"), ("MA+C3+CS", "MS"), ("MS+C3+CS", "MA")}
    assert tuning_of(plan, "on-MA", "MA", "MS") == "source_aware"
    assert tuning_of(plan, "on-MS", "MA", "C3") == "source_agnostic"
    assert tuning_of(plan, "on-MS", "MA", "MS") == "target_seen"
    assert tuning_of(plan, "on-MA", "MA+MS+CS", "C3") == "mixed"
    assert (plan.alpha, plan.alpha_intra, plan.tau, plan.top_c) == (0.2, 0.1, 5, 40)
