"""Which streams share a process."""

import os
from collections.abc import Sequence
from typing import Literal

from pipeline.config import Config

Groups = tuple[tuple[str, ...], ...]
"""Ids of the streams of each group."""


def most_groups(wanted: int | Literal["auto"]) -> int:
    """How many groups of streams there may be; auto = one per core that this process may use, less one."""
    return max(1, len(os.sched_getaffinity(0)) - 1) if wanted == "auto" else wanted


def grouped(stream_ids: Sequence[str], most: int, before: Sequence[Sequence[str]] = ()) -> Groups:
    """Shares streams out, as evenly as can be without moving any that has its place.

    Args:
        stream_ids: All streams that there are now.
        most: Groups at most; there are no more than streams.
        before: The groups so far, which keep their places in the answer; one that has lost all its streams, and
            gets no new one, is empty.
    """
    groups = [[name for name in group if name in stream_ids] for group in before]
    placed = {name for group in groups for name in group}
    for name in stream_ids:
        if name in placed:
            continue
        if all(groups) and len(groups) < most:
            groups.append([])
        min(groups, key=len).append(name)
    return tuple(tuple(group) for group in groups)


def groups_of(config: Config) -> Groups:
    """The groups with which a run of this config begins."""
    return grouped([stream.id for stream in config.streams], most_groups(config.processes))


def group_note(config: Config) -> str | None:
    """What to say of the groups to whoever sets up a site; None where there is one process for all."""
    groups = groups_of(config)
    if len(groups) < 2:
        return None
    return f"processes: {len(groups)} groups of streams: {' | '.join(', '.join(group) for group in groups)}"
