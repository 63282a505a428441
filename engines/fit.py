"""Whether a network fits its manifest: fed with black pictures and read as its role is."""

from engines.boxes import BoxNetwork
from engines.manifest import Manifest
from engines.network import PictureNetwork
from engines.sessions.base import Session
from engines.vectors import VectorNetwork


def try_out(manifest: Manifest, session: Session) -> int | None:
    """Runs it once; returns the length of an embedder's vectors, None for other roles.

    Raises:
        EngineError: Input or output are not what the manifest says.
    """
    if manifest.role == "embedder":
        return VectorNetwork(manifest, session).dimension
    if manifest.role == "detector":
        BoxNetwork(manifest, session)
    else:
        PictureNetwork(manifest, session).dry_run()
    return None
