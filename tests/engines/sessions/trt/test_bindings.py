"""What we call of TensorRT against its real Python bindings, over libraries that are empty shells.

The bindings load three libraries of NVIDIA's, which need no GPU to be replaced by stubs: classes, enums and
signatures are then all there, and every factory gives nothing.
"""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.availability import need

ROOT = Path(__file__).parents[4]
STUB = ROOT / "stubs" / "tensorrt" / "__init__.pyi"
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
SYMBOLS = [
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "getNvOnnxParserVersion",
    "getInferLibVersion",
    "initLibNvInferPlugins",
]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_bindings") is None, reason="needs tensorrt-cu13-bindings"
)


@pytest.fixture(scope="module")
def shells(tmp_path_factory):
    """A folder with the three libraries, whose functions all answer 0."""
    need("gcc")
    folder = tmp_path_factory.mktemp("shells")
    source = folder / "shell.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    version = importlib.util.find_spec("tensorrt_bindings").origin
    major = (
        next(Path(version).parents[1].glob("tensorrt_cu*_bindings-*.dist-info"))
        .name.split("-")[1]
        .split(".")[0]
    )
    for library in LIBRARIES:
        name = f"lib{library}.so.{major}"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)],
            check=True,
        )
    return folder


@pytest.fixture
def run(shells):
    """Runs Python with the real bindings as `tensorrt`; returns what it printed."""

    def call(code):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import sys, tensorrt_bindings as trt\nsys.modules['tensorrt'] = trt\n{code}",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=os.environ | {"LD_LIBRARY_PATH": str(shells)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return call


def promised():
    """Every name of our stub: (dotted name, its arguments or None)."""
    found = []

    def walk(body, path):
        for node in body:
            if isinstance(node, ast.ClassDef):
                found.append((".".join((*path, node.name)), None))
                walk(node.body, (*path, node.name))
            elif isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                plain = not any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list)
                found.append((".".join((*path, node.name)), names if plain else None))
            elif isinstance(node, ast.Assign):
                found.append((".".join((*path, node.targets[0].id)), None))
            elif isinstance(node, ast.AnnAssign):
                found.append((".".join((*path, node.target.id)), None))

    walk(ast.parse(STUB.read_text()).body, ())
    return found


CHECK = """
missing = []
for dotted, arguments in {promised!r}:
    thing = trt
    for part in dotted.split('.'):
        thing = getattr(thing, part, None)
    if thing is None:
        missing.append(dotted)
    elif arguments and '->' in (thing.__doc__ or ''):
        lines = [line for line in thing.__doc__.splitlines() if dotted.split('.')[-1] + '(self' in line]
        if lines and not any(all(name + ':' in line for name in arguments) for line in lines):
            missing.append((dotted, arguments, lines))
print(*missing, sep='\\n', end='')
"""


def test_all_that_our_stub_promises_is_there(run):
    names = promised()
    assert len(names) > 60
    assert run(CHECK.format(promised=names))[0] == ""
    assert "NoSuchThing" in run(CHECK.format(promised=[*names, ("Builder.NoSuchThing", None)]))[0]


def test_what_version_11_took_away_is_not_in_our_stub(run):
    gone = ["BuilderFlag.FP16", "IBuilderConfig.int8_calibrator", "IExecutionContext.execute_async_v2"]
    found = run(CHECK.format(promised=[(name, None) for name in gone]))[0].split()
    version = run("print(trt.__version__)")[0]
    assert found == (gone if version.startswith("11.") else [])
    assert not {"FP16", "INT8_CALIBRATOR", "execute_async_v2"} & {
        name.split(".")[-1] for name, _ in promised()
    } - {"FP8"}


TRY = """
import logging, pathlib
logging.basicConfig(format='%(message)s')
from engines.manifest import TensorRt
from engines.sessions.trt.complaints import Complaints
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.plan import build_plan
from engines.sessions.trt.session import TensorRtSession
complaints = Complaints()
complaints.logger.log(trt.ILogger.Severity.WARNING, 'nothing much')
complaints.logger.log(trt.ILogger.Severity.ERROR, 'it is broken')
print(complaints.because('x').problem)
for work in (lambda: build_plan(b'', TensorRt()), lambda: TensorRtSession(b'', 'tiny', None)):
    try:
        work()
    except TensorRtError as error:
        print(error.problem)
"""


def test_a_library_that_gives_nothing_is_a_reason_not_a_crash(run):
    out, err = run(TRY)
    assert out.splitlines() == [
        "x: it is broken",
        "no builder can be made: it does not say why",
        "no runtime can be made: it does not say why",
    ]
    assert err == ""


def test_all_goes_on_with_onnxruntime(run, tmp_path):
    from engines.testing import stripe_embedder, write_engine

    path = write_engine(tmp_path, stripe_embedder((64, 32)), tensorrt={})
    code = (
        "import logging, pathlib\nlogging.basicConfig(format='%(message)s')\n"
        "from engines.manifest import load_manifest\nfrom engines.sessions.open import open_session\n"
        f"print(type(open_session(load_manifest(pathlib.Path({str(path)!r})))).__name__)"
    )
    out, err = run(code)
    assert out.split() == ["OrtSession"]
    assert err.startswith("engine tiny: onnxruntime runs it, TensorRT cannot: ")
    assert len(err.splitlines()) == 1
