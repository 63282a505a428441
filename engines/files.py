"""The files behind a manifest: used once their digests are right, never a pickle, never half of one."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from engines.errors import EngineFileError
from engines.manifest import Manifest, as_yaml

PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib"}
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")

_known: dict[tuple[str, int, int, int], str] = {}
"""Digests by path, inode, size and time of change: gigabytes are read once a process."""


def read_network(manifest: Manifest) -> bytes:
    """The bytes of the network's file, once its digest is right: those that were checked are those that are loaded.

    Raises:
        EngineFileError: A file is missing, has another digest, or is a pickle.
    """
    path = checked_network(manifest)
    return _read_once_more(manifest, path)


def read_beside(manifest: Manifest, name: str) -> bytes:
    """The bytes of a file under `files`, when its digest has been checked.

    Raises:
        EngineFileError: It is not the file any more that was checked.
    """
    return _read_once_more(manifest, manifest.path.parent / name)


def _read_once_more(manifest: Manifest, path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != manifest.paths[path]:
        raise EngineFileError(f"engine {manifest.name}: {path} is being changed", "wait until it is whole")
    return data


def checked_network(manifest: Manifest) -> Path:
    """The network's file, once the digests of all files are right: for libraries that map it.

    Raises:
        EngineFileError: A file is missing, has another digest, or is a pickle.
    """
    for path, digest in manifest.paths.items():
        try:
            with path.open("rb") as file:
                start = file.read(4)
            found = digest_of(path)
        except OSError as error:
            raise EngineFileError(
                f"engine {manifest.name}: {path} cannot be read: {error.strerror or error}",
                "put the network's files where the manifest's 'file' and 'files' say",
            ) from None
        if _is_pickle(path, start) and not _is_weights_of_openvino(path, manifest):
            raise EngineFileError(
                f"engine {manifest.name}: {path} is a pickle, which can run code when it is opened",
                "export the network to ONNX, or save it as safetensors",
            )
        if found != digest:
            raise EngineFileError(
                f"engine {manifest.name}: {path} has sha256 {found}, not {digest}: it is damaged, another one, "
                "or half of a save that was cut off",
                "get the right file again, or correct the manifest if you trust this one",
            )
    return manifest.path


def _is_pickle(path: Path, start: bytes) -> bool:
    return path.suffix.lower() in PICKLES or start.startswith(PICKLE_STARTS)


def _is_weights_of_openvino(path: Path, manifest: Manifest) -> bool:
    """Plain numbers, whatever they begin with, and read as such."""
    return path.suffix == ".bin" and manifest.path.suffix == ".xml"


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits; it is read block by block, and again only when it has changed.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        key = (str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns)
        if key not in _known:
            _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[key]


def replace_file(path: Path, data: bytes | Path) -> None:
    """Writes a file so that its name never stands for half of it.

    Args:
        path: The file.
        data: What is to stand in it, or the file that it is a copy of.

    Raises:
        OSError: It cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        try:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, draft)
            else:
                draft.write(data)
            draft.flush()
            os.fsync(draft.fileno())
            os.chmod(draft.fileno(), 0o644)
            Path(draft.name).replace(path)
        finally:
            Path(draft.name).unlink(missing_ok=True)


def write_engine(manifest: Manifest, data: bytes | Path, name: str | None = None) -> Manifest:
    """Writes a network's file where its manifest says, then the manifest beside it; what is there is replaced.

    Args:
        manifest: Its digest is replaced by that of the data.
        data: The file's bytes, or a file to be copied.
        name: Of the manifest's file; None = the engine's name with `.yaml`.

    Returns:
        The manifest, as it was written.

    Raises:
        EngineFileError: The folder cannot be written.
    """
    folder = manifest.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pinned = pin(manifest, data)
        replace_file(manifest.path, data)
        replace_file(folder / (name or f"{manifest.name}.yaml"), as_yaml(pinned).encode())
    except OSError as error:
        raise EngineFileError(
            f"engine {manifest.name}: {folder} cannot be written: {error.strerror or error}",
            "choose another folder",
        ) from None
    return pinned


def pin(manifest: Manifest, data: bytes | Path) -> Manifest:
    """The manifest with the digest of its network's bytes or file.

    Raises:
        OSError: The file cannot be read.
    """
    digest = digest_of(data) if isinstance(data, Path) else hashlib.sha256(data).hexdigest()
    return manifest.model_copy(update={"sha256": digest})
