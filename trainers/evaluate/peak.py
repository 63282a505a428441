"""How much memory a piece of work took at most."""

import resource
from pathlib import Path

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak() -> None:
    """Forgets the peak so far, where the system allows it."""
    try:
        _RESET.write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """Largest resident memory of this process since `reset_peak`, in MiB; since its start where that is refused."""
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
