"""What `musewatch plugins list` says, and that it loads nothing to say it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.modules import missing_library


def test_every_role_is_listed_and_nothing_is_missing_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["plugins"]
    names = {(row["role"], row["name"]) for row in rows}
    assert {("source", "rtsp"), ("detector", "hog"), ("embedder", "colour"), ("sink", "kafka")} <= names


def test_what_a_plugin_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wanting.py").write_text("import json\nfrom no_such_library.part import thing\n")
    (tmp_path / "inside.py").write_text("import os\nwith open(os.devnull):\n    import no_such_library\n")
    (tmp_path / "content.py").write_text("import json\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert missing_library("wanting") == "no_such_library.part"
    assert missing_library("inside") == "no_such_library"
    assert missing_library("content") is None
    assert missing_library("not_there_at_all") == "not_there_at_all"


def test_listing_loads_no_library() -> None:
    code = (
        "import sys; from pipeline.cli.main import main; main(['plugins', 'list']); "
        "sys.exit(str([name for name in ('torch', 'cv2', 'av', 'onnxruntime') if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
