"""Installs the outside programs that tests need when it may, and else prints the command that does."""

import os
import subprocess
import sys

from tests.servers.availability import OUTSIDE, available

APT = "apt-get install -y --no-install-recommends"


def install_command(names: list[str]) -> str:
    """One command that brings all of `names`."""
    packages = [word for name in names for word in OUTSIDE[name].install.removeprefix(APT).split()]
    return f"{APT} {' '.join(dict.fromkeys(packages))}"


def main() -> None:
    """Installs what is missing as root; otherwise says how."""
    missing = [name for name in OUTSIDE if not available(name)]
    if not missing:
        return
    command = install_command(missing)
    if os.geteuid() != 0:
        print(f"Some tests will not run. To have them all: sudo {command}")
        return
    print(f"musewatch: {command}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-q"], command.split()):
        done = subprocess.run(step, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(step)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
