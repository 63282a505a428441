"""A musewatch process of the tests: started, killed, asked how it is."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.servers.ports import free_port
from tests.support.strangers import MUSEWATCH, environment

PATIENCE_S = 90.0


class Program:
    """`musewatch COMMAND CONFIG` in a folder, with the plugins in `plugins` there.

    Args:
        folder: Where the config is; the log goes there too.
        command: `run` or `verify`.
        config: Its config file; must have `telemetry` listen at `listen`.

    Attributes:
        listen: HOST:PORT for its telemetry.
        config: As given.
    """

    def __init__(self, folder: Path, command: str, config: str) -> None:
        self.folder = folder
        self.listen = f"127.0.0.1:{free_port()}"
        self.config = config
        self._arguments = (command, config, "--json")
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{config}.log"

    def start(self, **variables: str) -> None:
        """Starts it; does not wait for it."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(MUSEWATCH), *self._arguments], cwd=self.folder, stdout=log, stderr=log,
                env={**self._environment(), **variables},
            )  # fmt: skip

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> int:
        """Asks it to end; its exit code.

        Raises:
            TimeoutError: It does not end; where its threads stand is in the log.
        """
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            said = "\n".join(self.log()[-60:])
            raise TimeoutError(f"it does not end; its threads:\n{said}") from None

    def command(self, *arguments: str) -> str:
        """Output of another musewatch command in the same folder, which must end well."""
        done = subprocess.run(
            [MUSEWATCH, *arguments], cwd=self.folder, env=self._environment(), capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it has ended though nobody asked it to."""
        return self._process is not None and not self.alive

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def problems(self) -> list[str]:
        """Of /readyz; a program that does not answer is one too."""
        try:
            with urllib.request.urlopen(f"http://{self.listen}/readyz", timeout=5) as answer:
                found: list[str] = json.load(answer)["problems"]
        except urllib.error.HTTPError as error:
            with error:
                found = json.load(error)["problems"]
        except OSError:
            found = ["nobody answers"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Value of a metric; 0 where there is none."""
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://{self.listen}/metrics", timeout=5) as answer,
        ):
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    if sample.name == name and sample.labels == labels:
                        return float(sample.value)
        return 0.0

    def log(self) -> list[str]:
        """Lines that it has said."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    def _environment(self) -> Mapping[str, str]:
        """With the plugins of the tests before whatever is on the path already."""
        plugins = self.folder / "plugins"
        path = filter(None, (str(plugins), os.environ.get("PYTHONPATH")))
        return environment(plugins, PYTHONPATH=os.pathsep.join(path), PYTHONFAULTHANDLER="1")
