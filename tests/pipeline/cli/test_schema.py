"""`musewatch schema` prints JSON Schemas that are valid and say what the files are."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError, validate

from pipeline.cli.main import main
from pipeline.cli.schema import SCHEMAS
from tests.tree import ROOT


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["schema", name]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_every_schema_of_the_contract_is_there() -> None:
    assert {"config", "hit", "watchlist", "engine"} <= set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_json_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    schema = printed(name, capsys)
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    with pytest.raises(ValidationError):
        validate({}, schema)


def test_the_shipped_schema_of_a_hit_is_the_printed_one(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = json.loads((ROOT / "configs" / "schemas" / "hit-1.json").read_text(encoding="utf-8"))
    assert printed("hit", capsys) == shipped


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_fit_the_schema(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(yaml.safe_load(path.read_text(encoding="utf-8")), printed("config", capsys))


def test_a_config_with_an_unknown_key_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    schema = printed("config", capsys)
    with pytest.raises(ValidationError, match="streems"):
        validate({"version": 1, "streems": []}, schema)


def test_an_unknown_schema_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "hits"]) == 2
    assert capsys.readouterr().err.startswith("musewatch: there is no schema 'hits'. one of ")
