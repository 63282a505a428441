"""Writes docs/tree.md: every source file, one line each, from the first lines of their docstrings."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "plugins", "engines", "trainers")
LIST = ROOT / "docs" / "tree.md"


def source_files() -> list[Path]:
    """Every file of the four packages that a person wrote, sorted."""
    written = {".py", ".css", ".js", ".html", ".sql"}
    return sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.suffix in written)


def first_line(path: Path) -> str:
    """What a file says it is; empty when it does not say."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    comment = re.match(r"\s*(?:/\*|<!--|--|//)\s*(.*?)\s*(?:\*/|-->)?\s*$", text.partition("\n")[0])
    return comment[1] if comment else ""


def tree() -> str:
    """The list as it stands on disk."""
    lines = []
    for path in source_files():
        relative = path.relative_to(ROOT)
        if path.name == "__init__.py":
            lines.append((f"{'  ' * (len(relative.parts) - 2)}{relative.parent.name}/", first_line(path)))
        else:
            lines.append((f"{'  ' * (len(relative.parts) - 1)}{path.name}", first_line(path)))
    width = max(len(name) for name, _ in lines)
    return "```\n" + "".join(f"{name:<{width}}  {says}".rstrip() + "\n" for name, says in lines) + "```"


def document() -> str:
    """docs/tree.md as it should be."""
    return f"# Every file\n\nWritten by `make tree`.\n\n{tree()}\n"


if __name__ == "__main__":
    LIST.write_text(document(), encoding="utf-8")
