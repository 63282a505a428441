"""What all tests share: one Kafka broker, and a last line on those that could not run."""

import os
import re
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pipeline import secrets
from tests.servers.availability import OUTSIDE
from tests.servers.install import install_command

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # small sums: threads of many tests at once only wait for each other


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One broker for all tests; whoever stops it starts it again."""
    from tests.servers.kafka import KafkaBroker

    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """What a test put in as a secret is not taken out of what others print."""
    before = set(secrets._secrets)
    yield
    secrets._secrets.clear()
    secrets._secrets.update(before)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait and work longest come first, so that two workers end together."""
    long_files = {item.path for item in items if item.get_closest_marker("slow")}
    servers = {item.path for item in items if any(map(item.get_closest_marker, ("kafka", "rtsp")))}
    items.sort(key=lambda item: (item.path not in long_files, item.path not in servers))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """A file left out since a library is missing is a failure where `CI` is set."""
    report = yield
    if report.skipped and everything_is_installed(collector.config):
        report.outcome, report.longrepr = "failed", f"{collector.nodeid}: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """The same for a single test; `importorskip` alone skips with leave to skip a whole file."""
    report = yield
    missing = call.excinfo and getattr(call.excinfo.value, "allow_module_level", False)
    if report.skipped and missing and everything_is_installed(item.config):
        report.outcome, report.longrepr = "failed", f"{item.nodeid}: {report.longrepr[2]}"
    return report


def everything_is_installed(config: pytest.Config) -> bool:
    """Whether a missing library is a fault: in continuous integration, but for the tests of the core."""
    return bool(os.environ.get("CI")) and "not torch" not in config.option.markexpr


_NEEDS = re.compile(r"needs (\w+)")

collect_ignore = [
    "servers/rtsp_server.py",  # runs under the system's Python, which alone has GStreamer
    "e2e/stranger/test_day_shift.py",  # runs where its package is installed
]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Prints the line after pytest's own, where it cannot be missed."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    line = not_run([match[1] for match in map(_NEEDS.search, skipped) if match])
    if line:
        reporter.write_line(line)


def not_run(needs: list[str]) -> str:
    """One line for the tests left out, given what each of them needs; empty when there are none."""
    if not needs:
        return ""
    names = sorted(set(needs))
    known = [name for name in names if name in OUTSIDE]
    how = f": sudo {install_command(known)}" if known else ""
    return f"NOT RUN: {len(needs)} tests need {', '.join(names)}{how}"
