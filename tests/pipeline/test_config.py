"""What a config may say, and where its paths start."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import registry
from pipeline.config import Config, choose_sink, load_config, parse_config
from pipeline.errors import ConfigError
from plugins.sources.file import FileSource

INF = float("inf")
CLIP = {"id": "clip", "source": {"use": "file", "path": "clip.mp4"}}


def written(folder: Path, **keys: Any) -> Path:
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump({"version": 1, **keys}), encoding="utf-8")
    return path


def test_the_shortest_config_has_all_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path))
    assert (config.detector.use, config.embedder.use, config.bus.use) == ("hog", "colour", "memory")
    assert config.sinks == (choose_sink("jsonl", path="hits.jsonl"),)
    assert config.decision.max_distance == "auto"
    assert config.telemetry.listen == "127.0.0.1:9464"


def test_paths_start_at_the_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_config(written(tmp_path / "site", streams=[CLIP], data_dir="./kept"))
    assert config.data_dir == tmp_path / "site" / "kept"
    settings = registry.settings_of(
        FileSource, config.streams[0].source, config.base_dir, "streams.clip.source"
    )
    assert getattr(settings, "path") == tmp_path / "site" / "clip.mp4"  # noqa: B009


def test_the_default_data_folder_lies_beside_the_config_too(tmp_path: Path) -> None:
    assert load_config(written(tmp_path)).data_dir == tmp_path / "data"


def test_a_relative_config_path_gives_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("c.yaml")).data_dir == tmp_path / "data"


@pytest.mark.parametrize("given", ["/somewhere/data", "~/data"])
def test_whole_paths_and_home_stay(tmp_path: Path, given: str) -> None:
    assert load_config(written(tmp_path, data_dir=given)).data_dir == Path(given).expanduser()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"detectr": {"use": "hog"}}, "detectr: unknown key; did you mean 'detector'?"),
        ({"decision": {"max_dist": 1}}, "decision.max_dist: unknown key; did you mean 'max_distance'?"),
        ({"streams": [CLIP | {"zone": []}]}, "streams.0.zone: unknown key; did you mean 'zones'?"),
        ({"matcher": {"topc": 3}}, "matcher.topc: unknown key; did you mean 'top_c'?"),
        ({"outbox": {"zzz": 3}}, "outbox.zzz: unknown key; known keys: answer_s, batch, drain_s, max_mb"),
    ],
)
def test_an_unknown_key_comes_with_its_path_and_the_nearest_known_one(
    keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"version": 1, **keys}, Path(), "c.yaml")
    assert str(caught.value) == f"c.yaml: {message}"


def test_a_shortlist_of_one_is_refused_since_the_margin_could_not_count() -> None:
    with pytest.raises(ConfigError, match=r"matcher\.top_c"):
        parse_config({"version": 1, "matcher": {"top_c": 1}}, Path(), "c.yaml")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"version": 2, "site": "a b", "tracks": {"crops": 0}}, Path(), "c.yaml")
    assert [line.split(":")[1].strip() for line in str(caught.value).splitlines()] == [
        "version",
        "site",
        "tracks.crops",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"decision": {"cooldown_s": INF}}, "decision.cooldown_s: expected a number; for no limit give a large one"),
        ({"evidence": {"max_mb": float("nan")}}, "evidence.max_mb: expected a number; for no limit give a large one"),
        ({"outbox": {"drain_s": 1e12}}, "outbox.drain_s: Input should be less than or equal to 1000000000"),
        ({"tracks": {"crops": 10**400}}, "tracks.crops: Input should be less than or equal to 32"),
        ({"runner": {"backoff_s": [-1, 3]}}, "runner.backoff_s.0: Input should be greater than or equal to 0"),
        ({"site": 7}, "site: expected text; put it in quotation marks"),
        ({7: 7}, "7: expected text as a key; put it in quotation marks"),
        ({"streams": [CLIP | {"id": 7}]}, "streams.0.id: expected text; put it in quotation marks"),
        ({"site": "a\0"}, "site: a character that is no text, such as NUL"),
        ({"site": "a\x85"}, "site: a character that is no text, such as NUL"),
        ({"masker": {"use": "x", "deep": [INF]}}, "masker.deep.0: expected a number; for no limit give a large one"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused_with_its_key(keys: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"version": 1, **keys}, Path(), "c.yaml")
    assert str(caught.value).splitlines() == [f"c.yaml: {message}"]


def test_the_longest_time_can_be_waited_for_and_reckoned_with() -> None:
    config = parse_config({"version": 1, "outbox": {"drain_s": 1e9}, "decision": {"cooldown_s": 1e9}}, Path())
    assert config.outbox.drain_s < threading.TIMEOUT_MAX
    assert datetime.now(UTC) + timedelta(seconds=config.decision.cooldown_s) < datetime.max.replace(
        tzinfo=UTC
    )


def test_two_streams_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="streams: two streams are called clip"):
        parse_config({"version": 1, "streams": [CLIP, CLIP]}, Path())


@pytest.mark.parametrize("name", ["Door", "", "-door", "door_1", "d" * 64, "ü"])
def test_stream_ids_are_short_and_plain(name: str) -> None:
    with pytest.raises(ConfigError, match=r"streams\.0\.id"):
        parse_config({"version": 1, "streams": [CLIP | {"id": name}]}, Path())
    assert parse_config({"version": 1, "streams": [CLIP | {"id": "d" * 63}]}, Path()).streams


@pytest.mark.parametrize("zone", [[[0, 0], [1, 1]], [[0, 0], [1, 0], [1, 1.5]], [[0, 0], [1, 0], [1]], "all"])
def test_a_zone_has_three_corners_or_more_inside_the_picture(zone: Any) -> None:
    with pytest.raises(ConfigError, match=r"streams\.0\.zones\.0"):
        parse_config({"version": 1, "streams": [CLIP | {"zones": [zone]}]}, Path())


def test_a_zone_is_kept_as_it_is() -> None:
    zone = [[0, 0.3], [1, 0.3], [1, 1]]
    config = parse_config({"version": 1, "streams": [CLIP | {"zones": [zone]}]}, Path())
    assert config.streams[0].zones == (((0, 0.3), (1, 0.3), (1, 1)),)


def test_a_config_cannot_be_changed() -> None:
    config = Config(version=1)
    with pytest.raises(ValueError, match="frozen"):
        config.site = "other"


def test_a_plugins_own_keys_are_left_to_the_plugin(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, detector={"use": "theirs", "anything": [1, {"deep": True}]}))
    assert config.detector.settings == {"anything": [1, {"deep": True}]}


def test_a_port_that_no_machine_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"telemetry\.listen: .*a port is at most 65535"):
        parse_config({"version": 1, "telemetry": {"listen": "127.0.0.1:99999"}}, tmp_path)


@pytest.mark.parametrize("processes", [0, 65, "many"])
def test_processes_are_a_small_number_or_auto(processes: Any) -> None:
    assert parse_config({"version": 1, "processes": "auto"}, Path()).processes == "auto"
    with pytest.raises(ConfigError, match="processes"):
        parse_config({"version": 1, "processes": processes}, Path())
