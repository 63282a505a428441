"""Whether a verifier is of any use: it opens, and tells pairs of pictures apart."""

from engines.errors import OutputError
from engines.examine import sample_pictures
from engines.lmm.pairs import open_pairs
from engines.lmm.pictures import prepare
from engines.manifest import Manifest


def try_verifier(manifest: Manifest) -> dict[str, list[str]]:
    """Opens a verifier and asks it about made pictures; returns what goes in and comes out.

    Raises:
        EngineError: It cannot be opened.
        OutputError: It says the same of different pairs, or something that is not a number.
    """
    _, answers = manifest.question
    first, *others = prepare(sample_pictures(3, manifest.preprocess.size), manifest.preprocess)
    logits = open_pairs(manifest, device="cpu").score([(first, other) for other in others])
    if (logits[0] == logits[1]).all():
        raise OutputError(
            f"engine {manifest.name}: different pairs get the same answer", "replace the engine's file"
        )
    height, width = manifest.preprocess.size
    return {
        "inputs": [f"two pictures of {height}x{width}"],
        "outputs": [f"logits of {' and '.join(answers)}"],
    }
