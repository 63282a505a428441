"""Secrets come from the environment or a file, and never leave."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline import secrets
from pipeline.cli.logs import start_logging
from pipeline.cli.main import main
from pipeline.config import load_config, parse_config
from pipeline.errors import ConfigError
from pipeline.output import print_json, say
from pipeline.secrets import fill_in, redact, remember
from tests.support.pictures import person

PASSWORD = 'hunter2"\\ö/x@y'


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_secrets", set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:hunter2@10.0.0.9/1", "rtsp://***@10.0.0.9/1"),
        ("cannot open rtsp://admin:hunter2@cam:554/1: refused", "cannot open rtsp://***@cam:554/1: refused"),
        ("rtsp://admin:p@ss@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:12/34@cam/1", "rtsp://***@cam/1"),
        ("rtsp://token@cam/1 and http://u:p@h", "rtsp://***@cam/1 and http://***@h"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("write to ops@example.org", "write to ops@example.org"),
        ("'rtsp://a:b@c/d' <rtsp://a:b@c/d>", "'rtsp://***@c/d' <rtsp://***@c/d>"),
    ],
)
def test_the_user_part_of_a_url_is_never_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://h/x?token=abc&channel=2", "GET http://h/x?token=***&channel=2"),
        ("http://h/x?user=admin&pwd=12345", "http://h/x?user=admin&pwd=***"),
        ("http://h/x?key=1#top", "http://h/x?key=***"),
        ("http://h/x?monkey=1&Access_Token=2", "http://h/x?monkey=1&Access_Token=***"),
        ("connect to 'host=h password=p dbname=x'", "connect to 'host=h password=*** dbname=x'"),
        ("dsn host=h password='a b' x", "dsn host=h password=*** x"),
        ("sent Authorization: Bearer ab.cd", "sent Authorization: Bearer ***"),
        ("sent authorization: Basic YTpi", "sent authorization: Basic ***"),
        ("sent Authorization: ab.cd", "sent Authorization: ***"),
        ("max_distance=0.4, margin=0.1, keyframes=3", "max_distance=0.4, margin=0.1, keyframes=3"),
    ],
)
def test_secrets_of_queries_and_dsns_are_never_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_what_the_environment_gave_is_a_secret_where_secrets_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "hunter2")
    monkeypatch.setenv("SITE", "hall")
    stream = {"id": "door", "source": {"use": "rtsp", "url": "rtsp://u:${CAM_PASSWORD}@cam"}}
    parse_config({"version": 1, "site": "${SITE}", "streams": [stream]}, Path())
    assert redact("the password hunter2 was refused in hall") == "the password *** was refused in hall"


@pytest.mark.parametrize(
    "literal",
    [
        {"url": "https://h/hook?token=s3cret-1"},
        {"url": "rtsp://u:s3cret-1@h/1"},
        {"url": "rtsp://u:s3cret%2D1@h/1"},
        {"headers": {"X-Any": "s3cret-1"}},
        {"sasl": {"password": "s3cret-1"}},
        {"api_key": "s3cret-1"},
        {"Access-Token": ["s3cret-1"]},
    ],
)
def test_a_secret_written_into_the_config_is_never_shown(literal: dict[str, Any]) -> None:
    parse_config({"version": 1, "sinks": [{"use": "webhook", **literal}]}, Path())
    assert redact("it says s3cret-1 is wrong") == "it says *** is wrong"


def test_a_short_secret_hides_no_part_of_a_word() -> None:
    remember("a")
    assert redact("a camera said 'a'") == "*** camera said '***'"


def test_what_a_file_gave_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{PASSWORD}\n", encoding="utf-8")
    assert fill_in("${file:key}", "here", tmp_path) == PASSWORD
    assert PASSWORD not in redact(f"<{PASSWORD}>")


def test_a_secret_is_hidden_without_the_line_break_that_it_came_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0ps3cret\n")
    parse_config({"version": 1, "sinks": [{"use": "webhook", "token": "${TOKEN}"}]}, Path())
    assert "t0ps3cret" not in redact("wrong value 't0ps3cret\\n'")


def test_the_longest_secret_goes_first() -> None:
    remember("abc")
    remember("abcdef")
    assert redact("abcdef abc") == "*** ***"


def test_an_empty_secret_hides_nothing() -> None:
    remember(" ")
    assert redact("a b") == "a b"


def test_a_secret_is_hidden_in_its_url_form_too() -> None:
    remember("p@ss/word")
    assert redact("GET /login?key=p%40ss%2Fword") == "GET /login?key=***"


def test_printed_json_is_json_whatever_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    for secret in ("1", '"', PASSWORD, "e", "hall-1"):
        remember(secret)
    print_json(
        {
            "id": "hall-1",
            "n": 1,
            "path": Path("/a"),
            "error": f"not {PASSWORD}!",
            "problems": [{"fix": "hall-1"}],
        }
    )
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "id": "hall-1", "n": 1, "path": "/a", "error": "not ***!", "problems": [{"fix": "***"}],
    }  # fmt: skip


def test_the_log_hides_secrets_in_both_forms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remember("hunter2")
    for form in ("", "json"):
        monkeypatch.setenv("MUSEWATCH_LOG", form)
        start_logging()
        logging.getLogger("musewatch.stream").warning("no %s at rtsp://a:b@c", "hunter2")
    say("hunter2")
    err = capsys.readouterr().err.splitlines()
    assert err[0].endswith(" warning no *** at rtsp://***@c")
    assert json.loads(err[1])["message"] == "no *** at rtsp://***@c"
    assert err[2] == "***"


def test_libraries_are_not_heard(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    logging.getLogger("libav.rtsp").error("method DESCRIBE failed: 401 Unauthorized")
    assert capsys.readouterr().err == ""
    assert sys.stderr is not None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("${NOT_SET_ANYWHERE}", "the environment variable NOT_SET_ANYWHERE is not set"),
        ("${file:missing}", "missing.* cannot be read"),
        ("${file:.}", "cannot be read"),
        ("${file:large}", "large has more than 65536 characters"),
    ],
)
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, value: str, problem: str) -> None:
    (tmp_path / "large").write_text("x" * 70_000, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(f"version: 1\nsite: {value!r}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=problem) as caught:
        load_config(tmp_path / "c.yaml")
    assert "site" in str(caught.value)


@pytest.mark.parametrize("command", [("run",), ("check",), ("run", "--json"), ("check", "--json")])
def test_no_command_shows_a_password(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "env-s3cret")
    (tmp_path / "key").write_text("file-s3cret", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(
        """
version: 1
streams:
  - {id: a, source: {use: rtsp, url: "rtsp://u:env-${CAM_PASSWORD}@127.0.0.1:1/x"}}
  - {id: b, source: {use: rtsp, url: "rtsp://127.0.0.1:1/x", user: u, password: "${file:key}"}}
  - {id: c, source: {use: rtsp, url: "rtsp://u:url-s3cret@127.0.0.1:1/x"}}
outbox: {drain_s: 0}
telemetry: {listen: null}
""",
        encoding="utf-8",
    )
    options = ("--duration", "1") if command[0] == "run" else ()
    code = main([command[0], str(tmp_path / "c.yaml"), *command[1:], *options])
    printed = capsys.readouterr()
    assert code == (4 if command[0] == "run" else 1)
    assert "refused" in printed.out + printed.err
    assert "s3cret" not in printed.out + printed.err


def test_ids_and_names_are_never_rewritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SITE=a`: every a of every id was taken out."""
    monkeypatch.setenv("SITE", "a")
    (tmp_path / "key").write_text("anna", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(
        'version: 1\nsite: "${SITE}"\nembedder: {use: colour}\n'
        'sinks: [{use: webhook, url: "http://127.0.0.1:1/", headers: {K: "${file:key}"}}]\n',
        encoding="utf-8",
    )
    cv2.imwrite(str(tmp_path / "p.png"), person(120))
    config = ("-c", str(tmp_path / "c.yaml"), "--json")
    assert (
        main(
            [
                "watchlist",
                "add",
                "--id",
                "anna",
                "--name",
                "Anna a",
                "--whole",
                "--image",
                str(tmp_path / "p.png"),
                *config,
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["id"] == "anna"
    assert main(["watchlist", "show", "anna", *config]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["name"]) == ("anna", "Anna a")


def test_a_nul_is_refused_with_its_key(tmp_path: Path) -> None:
    for site in (r'"${file:\0}"', r'"a\0b"'):
        (tmp_path / "c.yaml").write_text(f"version: 1\nsite: {site}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"c\.yaml: site: "):
            load_config(tmp_path / "c.yaml")


def test_a_wrong_value_is_not_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "env-s3cret")
    (tmp_path / "c.yaml").write_text(
        'version: 1\nstreams: [{id: a, source: {use: rtsp, url: "http://u:${CAM_PASSWORD}@h", usr: url-s3cret}}]\n',
        encoding="utf-8",
    )
    assert main(["run", str(tmp_path / "c.yaml"), "--json"]) == 2
    printed = capsys.readouterr()
    assert "streams.a.source: usr: unknown key" in printed.err
    assert "s3cret" not in printed.out + printed.err
