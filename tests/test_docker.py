"""What is in docker/ holds together. No container engine is asked: nothing here has been built or run by the tests."""

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config import OutboxConfig, load_config
from pipeline.runner.gate import StreamCounts
from pipeline.runner.telemetry import Telemetry
from tests.tree import ROOT

DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
BOARD = json.loads((DOCKER / "grafana" / "musewatch.json").read_text(encoding="utf-8"))


def _tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(name)
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_image_is_made_as_hadolint_wants_it() -> None:
    done = _tool("hadolint", DOCKER / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_compose_file_fits_the_compose_specification() -> None:
    done = _tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [v for service in COMPOSE["services"].values() for v in service.get("volumes", [])]
    files = [volume.split(":")[0] for volume in mounts if volume.startswith("./")]
    assert len(files) >= 6
    assert [file for file in files if not (DOCKER / file).is_file()] == []
    named = {volume.split(":")[0] for volume in mounts if not volume.startswith("./")}
    assert named == set(COMPOSE["volumes"])


def test_nothing_is_published_beyond_the_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["edge", "verify"])
def test_the_configs_load_and_prometheus_asks_where_they_listen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_URL", "rtsp://camera.example/1")
    config = load_config(DOCKER / f"{name}.yaml")
    port = str(config.telemetry.listen).rpartition(":")[2]
    jobs = yaml.safe_load((DOCKER / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    assert f"{name}:{port}" in jobs[0]["static_configs"][0]["targets"]
    assert name in COMPOSE["services"]


@pytest.mark.parametrize(("unit", "command"), [("musewatch", "run"), ("musewatch-verify", "verify")])
def test_a_unit_starts_a_command_that_exists_and_leaves_it_time_to_drain(unit: str, command: str) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(DOCKER / f"{unit}.service", encoding="utf-8")
    service = parser["Service"]
    assert service["ExecStart"].split()[1] == command
    assert _tool("musewatch", command, "--help").returncode == 0
    assert int(service["TimeoutStopSec"]) > OutboxConfig().drain_s
    assert (service["User"], service["Restart"]) == ("musewatch", "on-failure")
    assert service["RestartPreventExitStatus"] == "2", "a wrong config does not mend itself"


def test_edge_and_verify_see_people_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_URL", "rtsp://camera.example/1")
    edge, verify = (load_config(DOCKER / f"{name}.yaml") for name in ("edge", "verify"))
    assert (edge.site, edge.embedder, edge.bus) == (verify.site, verify.embedder, verify.bus)


def test_the_board_shows_metrics_that_exist_by_labels_that_exist() -> None:
    asked = " ".join(target["expr"] for panel in BOARD["panels"] for target in panel["targets"])
    names = set(re.findall(r"musewatch_\w+", asked))
    telemetry = Telemetry(lambda: {"door": StreamCounts()})
    for metric, labels in (
        (telemetry.frame_age, ["door"]),
        (telemetry.stage_seconds, ["detect"]),
        (telemetry.queue_depth, ["track"]),
        (telemetry.hits, ["door", "opened"]),
        (telemetry.errors, ["door"]),
        (telemetry.refused, ["engine"]),
        (telemetry.outbox_refused, ["webhook"]),
    ):
        metric.labels(*labels)
    families = text_string_to_metric_families(generate_latest(telemetry.registry).decode())
    samples = {sample.name: sample.labels for family in families for sample in family.samples}
    assert len(names) >= 10
    assert names - set(samples) == set()
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - {"instance"}
            assert all(shown <= set(samples[name]) for name in re.findall(r"musewatch_\w+", target["expr"]))
