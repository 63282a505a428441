"""Writes docs/licences.md: what the installed distributions say of themselves, and the terms of data and weights."""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

from engines.fetch.catalogue import load_catalogue
from plugins.embedders.public_weights import PUBLIC
from trainers.datasets.catalogue import LAYOUTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"

# The first that matches is the class; what matches none is for a person to look at.
CLASSES = (
    ("AGPL", r"AGPL|Affero"),
    ("GPL", r"(?<!L)GPL|(?<!Lesser )General Public"),
    ("weak copyleft", r"MPL|Mozilla|LGPL|Lesser General Public"),
    ("proprietary", r"NVIDIA|Proprietary"),
    ("permissive", r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Zlib|HPND"),
)
SAYS_NOTHING = {"cuda-toolkit": "NVIDIA (no field; an empty package that names others)"}


def pinned(name: str) -> dict[str, str]:
    """The distributions of a requirements file with their versions."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def stated(found: Distribution) -> str:
    """The licence by a distribution's own words, in one line."""
    says = found.metadata.json
    classifiers = [line for line in says.get("classifier", []) if line.startswith("License :: OSI")]
    words = [line.rpartition(" :: ")[2] for line in classifiers if "DFSG" not in line]
    field = str(says.get("license", "")).strip().partition("\n")[0]
    return str(
        says.get("license_expression") or " OR ".join(words) or field or SAYS_NOTHING.get(found.name, "")
    )


def licence_class(text: str) -> str:
    """What a licence asks of those who pass the software on; empty when it is not known."""
    return next((name for name, pattern in CLASSES if re.search(pattern, text)), "")


def table() -> str:
    """One row a distribution, core first."""
    core = pinned("core")
    rows = ["| package | licence | class | installed by |", "| --- | --- | --- | --- |"]
    for name in [*core, *(name for name in pinned("test") if name not in core)]:
        text = stated(distribution(name))
        rows.append(
            f"| {name} | {text} | {licence_class(text)} | {'core' if name in core else 'tests, extras'} |"
        )
    return "\n".join(rows)


def data_sets() -> str:
    """One row a data set."""
    rows = ["| data set | licence or terms of use |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| {layout.title} | {layout.terms} |" for layout in LAYOUTS.values())])


def public_weights() -> str:
    """One row a set of public weights."""
    rows = [
        "| weights | embedder | licence | for research only | trained on |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join(
        [
            *rows,
            *(
                f"| {known.repository} | {known.use} | {known.licence} | "
                f"{'yes' if known.research_only else ''} | {known.data} |"
                for known in PUBLIC
            ),
        ]
    )


def public_engines() -> str:
    """One row an engine that `engines fetch` brings."""
    rows = [
        "| engine | MB | publisher | licence of code, weights | trained on | digests by | measured here |",
        "| --- | ---: | --- | --- | --- | --- | --- |",
    ]
    for entry in load_catalogue().engines:
        licences, name = entry.licences, entry.publisher.partition(", ")[0]
        said = "; ".join(dict.fromkeys(file.said_by for file in entry.files))
        terms = f"; {entry.terms}" if entry.terms else ""
        rows.append(
            f"| `{entry.name}` | {entry.size / 1e6:.1f} | {name} | {licences.code}, {licences.weights}{terms} | "
            f"{licences.data} | {said} | {entry.measured} |"
        )
    return "\n".join(rows)


def with_tables(page: str) -> str:
    """The page with the rows in their places."""
    tables = {
        "list": table(),
        "data sets": data_sets(),
        "engines": public_engines(),
        "weights": public_weights(),
    }
    for mark, rows in tables.items():
        page = with_block(page, mark, rows)
    return page


def with_block(page: str, mark: str, rows: str) -> str:
    """The page with one table in its place."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n{rows}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
