"""The file behind a manifest: read once its digest is right, never a pickle, never half of it."""

import hashlib
import os
import tempfile
from pathlib import Path

from engines.errors import EngineFileError
from engines.manifest import Manifest

PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib"}
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


def read_network(manifest: Manifest) -> bytes:
    """The file's bytes, once their digest is right: those that were checked are those that are loaded.

    Raises:
        EngineFileError: The file is missing, has another digest, or is a pickle.
    """
    try:
        data = manifest.path.read_bytes()
    except OSError as error:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path} cannot be read: {error.strerror or error}",
            "put the network's file where the manifest's 'file' says",
        ) from None
    refuse_pickle(manifest.path, data, f"engine {manifest.name}", "export the network to ONNX")
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path} has sha256 {found}, not {manifest.sha256}",
            "get the right file again, or correct the manifest if you trust this one",
        )
    return data


def refuse_pickle(path: Path, data: bytes, whose: str, fix: str) -> None:
    """Nothing, when a file is none.

    Args:
        path: Where it lies; its suffix alone can give it away.
        data: Its bytes.
        whose: For the message.
        fix: What to do instead.

    Raises:
        EngineFileError: It is a pickle, by its name or by its first bytes.
    """
    if path.suffix.lower() in PICKLES or data.startswith(PICKLE_STARTS):
        raise EngineFileError(f"{whose}: {path} is a pickle, which can run code when it is opened", fix)


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file so that its name never stands for half of it.

    Raises:
        OSError: It cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        try:
            draft.write(data)
            draft.flush()
            os.fsync(draft.fileno())
            os.chmod(draft.fileno(), 0o644)
            Path(draft.name).replace(path)
        finally:
            Path(draft.name).unlink(missing_ok=True)
