"""The command line as a whole: help, messages, exit codes."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from pipeline.cli import main as module
from pipeline.cli.main import main
from pipeline.errors import ConfigError, InputError, MusewatchError, OutsideError
from pipeline.output import print_json
from tests.support.strangers import MUSEWATCH


class Printed(SimpleNamespace):
    code: int
    out: str
    err: str


Run = Callable[..., Printed]
Failing = Callable[[BaseException], None]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Printed:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return Printed(code=code, out=out, err=err)

    return run


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Makes `plugins` end with an error."""

    def fail_with(error: BaseException) -> None:
        def command(json: bool = False) -> None:
            raise error

        monkeypatch.setitem(module.COMMANDS, "plugins", "a.module")
        found = importlib.import_module
        monkeypatch.setattr(
            importlib,
            "import_module",
            lambda name: SimpleNamespace(command=command) if name == "a.module" else found(name),
        )

    return fail_with


def test_help_names_every_command_of_this_release(run: Run) -> None:
    printed = run("--help")
    assert (printed.code, printed.err) == (0, "")
    for name in ("run", "check", "watchlist", "hits", "engines", "plugins", "schema", "evaluate", "demo"):
        assert f"\n  {name} " in printed.out


def test_every_command_has_help(run: Run) -> None:
    for name in ("run", "check", "watchlist", "hits", "engines", "plugins", "schema", "evaluate", "demo"):
        printed = run(name, "--help")
        assert (printed.code, printed.err) == (0, "")
        assert printed.out.startswith(f"Usage: musewatch {name}")


NOT_IN_THE_CORE = (
    "numba", "matplotlib", "torch", "torchvision", "transformers", "timm", "accelerate", "onnx", "onnxscript",
    "open_clip", "safetensors", "tensorboard", "peft", "sam2", "boxmot", "ultralytics", "cuda", "tensorrt",
)  # fmt: skip
EVERY_HELP = f"""
import sys
class Missing:  # as if none of them were installed
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {NOT_IN_THE_CORE}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing)
from pipeline.cli.main import application, main
for name in application(["--help"]).list_commands(None):
    codes = [main([name, "--help"])]
    for inner in getattr(application([name]).commands[name], "commands", ()):
        codes.append(main([name, inner, "--help"]))
    assert codes == [0] * len(codes), (name, codes)
sys.exit(main(["world", "sheet", "here.jpg"]))
"""


def test_commands_that_lack_an_extra_keep_their_options_and_name_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert {"--enrolled", "--per-camera", "--resume", "--precision", "--rerank"} <= set(done.stdout.split())
    assert done.stderr.startswith(
        "musewatch: this needs numba, which is not installed. install the extra: make"
    )
    assert done.stderr.endswith("NAMES=lab\n")


def test_no_line_of_help_is_cut_off(run: Run) -> None:
    for arguments in ((), ("engines",), ("watchlist",), ("world",), ("evaluate",)):
        assert "..." not in run(*arguments, "--help").out.replace("[ARGS]...", "")


def test_help_imports_no_command() -> None:
    code = "import sys; from pipeline.cli.main import main; main(['--help']); print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"numpy", "pydantic", "rich", "pipeline.cli.run"} & set(done.stdout.split())


def test_the_version_is_that_of_the_package(run: Run) -> None:
    printed = run("--version")
    assert (printed.code, printed.out) == (0, f"musewatch {version('musewatch')}\n")


@pytest.mark.parametrize("arguments", [(), ("watchlist",), ("hits",), ("engines",)])
def test_a_group_alone_prints_its_help(run: Run, arguments: tuple[str, ...]) -> None:
    printed = run(*arguments)
    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith(" ".join(["Usage: musewatch", *arguments]))
    assert "musewatch: " not in printed.err


def test_an_unknown_command_is_refused(run: Run) -> None:
    printed = run("wacthlist")
    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith("musewatch: No such command 'wacthlist'.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MusewatchError("the answer is no"), 1),
        (ConfigError("the key is wrong", "mend it"), 2),
        (InputError("the picture is dark", "give another"), 3),
        (OutsideError("nobody answers"), 4),
    ],
)
def test_an_error_is_one_message_and_its_exit_code(
    run: Run, failing: Failing, error: MusewatchError, code: int
) -> None:
    failing(error)
    printed = run("plugins")
    assert (printed.code, printed.out, printed.err) == (code, "", f"musewatch: {error}\n")
    printed = run("plugins", "--json")
    assert json.loads(printed.out) == {"ok": False, "error": str(error)}


def test_an_engines_error_is_one_of_them(run: Run, failing: Failing) -> None:
    from engines.errors import EngineError

    failing(EngineError("engine x is another file", "get it again"))
    printed = run("plugins")
    assert (printed.code, printed.err) == (2, "musewatch: engine x is another file. get it again\n")


def test_what_nobody_foresaw_is_said_without_a_traceback(run: Run, failing: Failing) -> None:
    failing(ZeroDivisionError("division by zero"))
    printed = run("plugins")
    assert printed.code == 1
    assert printed.err == (
        "musewatch: unexpected ZeroDivisionError: division by zero; run it again with --debug\n"
    )


def test_debug_lets_it_through(run: Run, failing: Failing) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        run("plugins", "--debug")


def test_ctrl_c_ends_with_130(run: Run, failing: Failing) -> None:
    failing(KeyboardInterrupt())
    assert run("plugins").code == 130


def test_an_answer_that_nobody_takes_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["engines", "list", "--json"]) == 4
    told = capsys.readouterr().err
    assert told.startswith("musewatch: the answer cannot be written to stdout: ")
    assert len(told.splitlines()) == 1


def test_a_name_that_is_no_text_leaves_the_answer_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": "x\udcff.jpg"})
    assert json.loads(capsys.readouterr().out.encode("utf-8", "strict")) == {"file": "x\udcff.jpg"}


def test_without_stderr_the_answer_is_still_alone_on_stdout(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert json.loads(run("engines", "show", "nobody", "--json").out)["ok"] is False


def test_the_console_script_is_the_same() -> None:
    done = subprocess.run(
        [MUSEWATCH, "schema", "nothing"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("musewatch: there is no schema 'nothing'. one of config, hit, ")
