"""How a store stands to the watchlist that all processes share, in sentences for whoever runs it."""

import logging
from collections.abc import Collection, Iterable
from typing import NamedTuple

from pipeline.remote_bus import Table
from pipeline.watchlist.changes import Roll
from pipeline.watchlist.contents import Contents, Verdict, judge

logger = logging.getLogger("musewatch.watchlist")

_SHOWN = 5  # ids in a sentence
_PUBLISH = "musewatch watchlist publish"
_WHERE_KEPT = f"{_PUBLISH}, where this watchlist is kept"


class Remark(NamedTuple):
    """Something that does not fit together, and what to do about it."""

    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.fix}"


def remarks(roll: Roll, rows: Collection[str], contents: Contents | None) -> list[Remark]:
    """What does not fit together; none where all is well.

    Args:
        roll: Everybody in one of the stores that share the watchlist.
        rows: Ids that have a row on the table.
        contents: The table's contents row.
    """
    here, origin = {identity.id for identity in roll.identities}, roll.origin
    if not rows and contents is None:
        problem = f"nobody has published a watchlist; the {len(here)} identities here count"
        return [Remark(problem, _PUBLISH)] if here else []
    verdict = None if contents is None else judge(contents, origin)
    counts = contents is not None and verdict is Verdict.TAKEN
    found = [] if counts else [_why_nobody_leaves(contents, verdict)]
    version = contents.version if contents is not None else 0
    named = set(contents.identities) if contents is not None and counts else set[str]()
    due = {e.identity.id for e in roll.entries if counts and (e.listed_at or version) < version} - named
    if more := here - named - set(rows) - due:
        found.append(Remark(f"{_people(more)} here and not in the shared watchlist", _WHERE_KEPT))
    if lost := named - set(rows):
        found.append(Remark(f"{_people(lost)} in the shared watchlist without a row", _WHERE_KEPT))
    if origin.own_id is not None and origin.is_author and (gone := set(rows) - here):
        found.append(Remark(f"{_people(gone)} not here and still in the shared watchlist", _PUBLISH))
    return found


def _why_nobody_leaves(contents: Contents | None, verdict: Verdict | None) -> Remark:
    if contents is None:
        return Remark("the shared watchlist has no contents row, so nobody leaves by missing there", _PUBLISH)
    if verdict is Verdict.OLDER:
        why = f"is of version {contents.version}, older than one seen before"
    else:
        why = f"is another watchlist's ({contents.watchlist}) than the one followed here"
    return Remark(f"the contents row of the shared watchlist {why}, so nobody leaves by it", _WHERE_KEPT)


def faults_of(table: Table, *, mend: bool) -> list[Remark]:
    """How the table is kept that loses rows by itself; what is mended at once is only logged.

    Raises:
        OutsideError: It cannot be reached.
    """
    found = table.faults(mend=mend)
    for fault in found:
        if fault.mended:
            logger.warning("%s; %s", fault.problem, fault.fix)
    return [Remark(fault.problem, fault.fix) for fault in found if not fault.mended]


def _people(ids: Iterable[str]) -> str:
    known = sorted(ids)
    shown = ", ".join(known[:_SHOWN]) + (", ..." if known[_SHOWN:] else "")
    return f"{len(known)} {'identity is' if len(known) == 1 else 'identities are'} ({shown})"
