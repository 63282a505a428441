"""What is left of somebody on a disk: `python -m tests.tools.byte_search FOLDER TEXT...` looks in all files."""

import sys
from collections.abc import Mapping
from pathlib import Path


def traces(folder: Path, needles: Mapping[str, bytes]) -> dict[str, list[str]]:
    """The files, by path under the folder, that hold each of some byte strings; logs of databases are files too."""
    contents = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {
        what: [name for name, content in contents.items() if needle in content]
        for what, needle in needles.items()
    }


if __name__ == "__main__":
    left = traces(Path(sys.argv[1]), {text: text.encode() for text in sys.argv[2:]})
    for what, files in left.items():
        sys.stdout.write(f"{what}: {', '.join(files) or 'nowhere'}\n")
    sys.exit(any(left.values()))
