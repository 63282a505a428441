"""Public weights of zero-shot encoders: where they are, what their licence and the data behind them allow.

This is what their pages and libraries said in 2026, not advice; their authors' own words decide. None of them was
trained to tell people apart.
"""

from dataclasses import dataclass

_WEB = "pictures and captions from the web, whose people and authors were not asked"
_WEBLI = f"WebLI, not published: {_WEB}"
_LVD = "LVD-142M, not published: pictures from the web, chosen by their likeness to public sets"
_META = f"Meta's own, not published: {_WEB}; and videos"
_OF_OPENAI = f"WIT-400M, not published: {_WEB}"
_AMLR = "Apple's AMLR, research only"

_MODEL = ("config.json", "model.safetensors")
_PICTURES = (*_MODEL, "preprocessor_config.json")
_PICTURES_AND_TEXTS = (*_PICTURES, "the tokenizer's files")
_OPEN_CLIP = ("open_clip_config.json", "open_clip_model.safetensors", "the tokenizer's files")


@dataclass(frozen=True, slots=True)
class PublicWeights:
    """Weights that anybody can fetch.

    Attributes:
        repository: On huggingface.co.
        use: The embedder that opens them.
        side_px: Of the square input; None = any size.
        licence: Of the weights.
        data: What they were trained on.
        files: What is needed of the repository.
        research_only: The licence forbids commercial use.
    """

    repository: str
    use: str
    side_px: int | None
    licence: str
    data: str
    files: tuple[str, ...]
    research_only: bool = False

    @property
    def name(self) -> str:
        """What the folder of its files is called."""
        return self.repository.rpartition("/")[2]


_APACHE, _NC = "Apache-2.0", "CC-BY-NC-4.0"

PUBLIC = (
    PublicWeights("google/siglip2-base-patch16-224", "transformers", 224, _APACHE, _WEBLI, _PICTURES_AND_TEXTS),
    PublicWeights("google/siglip2-base-patch16-naflex", "transformers", None, _APACHE, _WEBLI, _PICTURES_AND_TEXTS),
    PublicWeights("google/siglip2-large-patch16-256", "transformers", 256, _APACHE, _WEBLI, _PICTURES_AND_TEXTS),
    PublicWeights("google/siglip2-so400m-patch14-384", "transformers", 384, _APACHE, _WEBLI, _PICTURES_AND_TEXTS),
    PublicWeights("openai/clip-vit-large-patch14", "transformers", 224,
                  "not stated on its page (the code is MIT)", _OF_OPENAI, _PICTURES_AND_TEXTS),
    PublicWeights("facebook/dinov2-small", "transformers", 224, _APACHE, _LVD, _PICTURES),
    PublicWeights("facebook/dinov2-base", "transformers", 224, _APACHE, _LVD, _PICTURES),
    PublicWeights("facebook/dinov2-large", "transformers", 224, _APACHE, _LVD, _PICTURES),
    PublicWeights("laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "clip", 224, "MIT", f"LAION-2B: {_WEB}", _OPEN_CLIP),
    PublicWeights("timm/vit_base_patch16_clip_224.openai", "clip", 224, _APACHE, _OF_OPENAI, _OPEN_CLIP),
    PublicWeights("timm/vit_base_patch16_clip_224.metaclip_2pt5b", "clip", 224, _NC,
                  f"2.5 billion of Common Crawl: {_WEB}", _OPEN_CLIP, research_only=True),
    PublicWeights("timm/PE-Core-B-16", "clip", 224, _APACHE, _META, _OPEN_CLIP),
    PublicWeights("timm/PE-Core-L-14-336", "clip", 336, _APACHE, _META, _OPEN_CLIP),
    PublicWeights("apple/MobileCLIP-S2-OpenCLIP", "clip", 256, _AMLR,
                  f"DataCompDR: {_WEB}, with made captions", _OPEN_CLIP, research_only=True),
    PublicWeights("timm/vit_pe_core_base_patch16_224.fb", "timm", 224, _APACHE, _META, _MODEL),
    PublicWeights("timm/vit_base_patch14_dinov2.lvd142m", "timm", 518, _APACHE, _LVD, _MODEL),
)  # fmt: skip


def find_public(name: str) -> PublicWeights | None:
    """By repository, or by its last part; None when we do not know it.

    >>> find_public("dinov2-base").licence
    'Apache-2.0'
    """
    return next((known for known in PUBLIC if name in (known.repository, known.name)), None)
