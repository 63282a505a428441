"""Zero-shot embedders against the libraries' own preprocessing and forward, on tiny weights made on the spot."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from engines.manifest import load_manifest
from pipeline.errors import ConfigError, InputError, UnknownPluginError
from pipeline.registry import build
from pipeline.settings import choose
from plugins.embedders import local_weights
from tests.support import tiny_weights

pytestmark = pytest.mark.torch

Array = NDArray[Any]
RNG = np.random.default_rng(7)
CROPS = [
    RNG.integers(0, 256, (height, width, 3), np.uint8)
    for height, width in ((90, 40), (64, 64), (33, 120), (50, 3))
]
TEXTS = ["a photo of a woman, wearing a red coat.", "Black jeans"]
USES = {
    "open_clip": "clip",
    "open_clip_timm": "clip",
    "timm_pe": "timm",
    "transformers_clip": "transformers",
    "transformers_siglip": "transformers",
    "transformers_siglip2": "transformers",
    "transformers_dinov2": "transformers",
}
READERS = ["open_clip", "open_clip_timm", "transformers_clip", "transformers_siglip", "transformers_siglip2"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: getattr(tiny_weights, name)(root / name) for name in USES}


def embedder(folder: Path, use: str, **settings: Any) -> Any:
    return build(
        "embedder", choose(use, **{"weights": str(folder), "device": "cpu"} | settings), folder, "embedder"
    )


def unit(rows: Any) -> Array:
    array: Array = rows.detach().numpy()
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def pictures(*, square: bool) -> list[Any]:
    """The crops as pictures of the library that everybody feeds."""
    from PIL import Image

    shown = [Image.fromarray(crop[..., ::-1].copy()) for crop in CROPS]
    if not square:
        return shown
    padded = []
    for picture in shown:
        side = max(picture.size)
        canvas = Image.new("RGB", (side, side), (128, 128, 128))
        canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        padded.append(canvas)
    return padded


def own_transformers(folder: Path, shown: list[Any]) -> Array:
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    inputs = AutoImageProcessor.from_pretrained(folder)(images=shown, return_tensors="pt")
    see = getattr(model, "get_image_features", model)
    return unit(see(**inputs).pooler_output)


def own_open_clip(folder: Path, shown: list[Any]) -> Array:
    import open_clip
    import torch

    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return unit(model.eval().encode_image(torch.stack([transform(picture) for picture in shown])))


def own_timm(folder: Path, shown: list[Any]) -> Array:
    import timm
    import torch

    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    return unit(model(torch.stack([transform(picture) for picture in shown])))


OWN: dict[str, Callable[[Path, list[Any]], Array]] = {
    "clip": own_open_clip,
    "timm": own_timm,
    "transformers": own_transformers,
}


class TestPictures:
    @pytest.mark.parametrize("name", USES)
    @pytest.mark.parametrize("whole", [True, False])
    def test_the_librarys_own_answer(self, folders: dict[str, Path], name: str, whole: bool) -> None:
        rows = embedder(folders[name], USES[name], whole=whole).embed(CROPS)
        own = OWN[USES[name]](folders[name], pictures(square=whole))
        assert rows.shape == own.shape
        np.testing.assert_allclose(rows, own, atol=1e-5)
        assert np.linalg.norm(rows[:, None] - rows, axis=2)[~np.eye(len(rows), dtype=bool)].min() > 1e-3

    @pytest.mark.parametrize("name", USES)
    def test_batches_change_nothing(self, folders: dict[str, Path], name: str) -> None:
        one, many = (embedder(folders[name], USES[name], batch=batch) for batch in (1, 8))
        np.testing.assert_allclose(one.embed(CROPS), many.embed(CROPS), atol=1e-5)

    def test_the_digest_tells_weights_and_their_feeding_apart(
        self, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        digests = {embedder(folder, USES[name]).engine_digest for name, folder in folders.items()}
        assert len(digests) == len(USES)
        folder = folders["transformers_clip"]
        first = embedder(folder, "transformers")
        assert embedder(folder, "transformers", whole=False).engine_digest != first.engine_digest
        copy = shutil.copytree(folder, tmp_path / "copy")
        assert embedder(copy, "transformers").engine_digest == first.engine_digest
        settings = copy / "preprocessor_config.json"
        settings.write_text(settings.read_text().replace("0.48145466", "0.5"))
        assert embedder(copy, "transformers").engine_digest != first.engine_digest

    def test_half_precision_weights_are_computed_in_full_on_a_processor(
        self, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        import torch
        from transformers import AutoModel

        folder = shutil.copytree(folders["transformers_clip"], tmp_path / "half")
        AutoModel.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
        full = embedder(folders["transformers_clip"], "transformers").embed(CROPS)
        np.testing.assert_allclose(embedder(folder, "transformers").embed(CROPS), full, atol=5e-3)


class TestTexts:
    def own(self, folder: Path, name: str) -> Array:
        if USES[name] == "clip":
            import open_clip

            model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
            return unit(model.eval().encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)))
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(folder).eval()
        lower = [text.lower() for text in TEXTS]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        inputs = tokenizer(lower, padding="max_length", max_length=model.config.text_config.max_position_embeddings,
                           return_tensors="pt")  # fmt: skip
        return unit(model.get_text_features(**inputs).pooler_output)

    @pytest.mark.parametrize("name", READERS)
    def test_the_librarys_own_answer(self, folders: dict[str, Path], name: str) -> None:
        reader = embedder(folders[name], USES[name])
        rows = reader.embed_text(TEXTS)
        assert reader.reads_text
        assert rows.shape == (2, reader.dimension)
        np.testing.assert_allclose(rows, self.own(folders[name], name), atol=1e-5)
        assert np.linalg.norm(rows[0] - rows[1]) > 1e-3
        assert reader.embed_text([]).shape == (0, reader.dimension)

    @pytest.mark.parametrize("name", READERS)
    def test_what_would_be_cut_off_is_refused(self, folders: dict[str, Path], name: str) -> None:
        reader = embedder(folders[name], USES[name])
        longest = next(n for n in range(1, 40) if not reads(reader, "red " * n)) - 1
        assert longest >= tiny_weights.CONTEXT // 2 - 2
        with pytest.raises(InputError, match="the network reads"):
            reader.embed_text(["red", "red " * (longest + 1)])

    def test_clip_reads_as_many_words_as_fit_between_its_two_marks(self, folders: dict[str, Path]) -> None:
        for name in ("open_clip", "transformers_clip"):
            reader = embedder(folders[name], USES[name])
            assert reads(reader, "red " * (tiny_weights.CONTEXT - 2))
            assert not reads(reader, "red " * (tiny_weights.CONTEXT - 1))

    @pytest.mark.parametrize("name", ["timm_pe", "transformers_dinov2"])
    def test_towers_of_pictures_read_none(self, folders: dict[str, Path], name: str) -> None:
        assert not getattr(embedder(folders[name], USES[name]), "reads_text", False)


def reads(reader: Any, text: str) -> bool:
    try:
        reader.embed_text([text])
    except InputError:
        return False
    return True


class TestFound:
    @pytest.mark.parametrize("of", ["config", "environment"])
    def test_by_name_in_a_folder_of_models(
        self, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
    ) -> None:
        shutil.copytree(folders["transformers_dinov2"], tmp_path / "dinov2-base")
        settings = {"weights": None, "name": "facebook/dinov2-base"}
        if of == "config":
            settings["models"] = str(tmp_path)
        else:
            monkeypatch.setenv("MUSEWATCH_MODELS", str(tmp_path))
        found = embedder(tmp_path, "transformers", **settings)
        assert found.engine_digest == embedder(folders["transformers_dinov2"], "transformers").engine_digest

    def test_a_single_file_with_the_name_of_its_architecture(
        self, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        import timm
        from safetensors.torch import save_file

        network = timm.create_model("test_vit", num_classes=1000).eval()
        save_file(network.state_dict(), tmp_path / "small.safetensors")
        found = embedder(tmp_path / "small.safetensors", "timm", architecture="test_vit", whole=False)
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
        network.reset_classifier(0)
        own = [unit(network(transform(picture)[None]))[0] for picture in pictures(square=False)]
        np.testing.assert_allclose(found.embed(CROPS), own, atol=1e-5)

    def test_a_public_name_that_is_not_there_says_what_to_fetch(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            embedder(
                tmp_path, "transformers", weights=None, name="siglip2-base-patch16-224", models=str(tmp_path)
            )
        text = str(caught.value)
        for wanted in (
            f"there is no {tmp_path}/siglip2-base-patch16-224", "model.safetensors", "preprocessor_config.json",
            "huggingface.co/google/siglip2-base-patch16-224", "Apache-2.0", "WebLI", "sha256sum",
        ):  # fmt: skip
            assert wanted in text

    @pytest.mark.parametrize(
        ("settings", "problem"),
        [
            ({"weights": None}, "give either weights"),
            ({"name": "x"}, "give either weights"),
            ({"weights": None, "name": "x"}, "nothing says where the folder of 'x' is.*MUSEWATCH_MODELS"),
            ({"weights": "none"}, "there is no .*none.*Known to work with transformers: google/siglip2"),
            ({"weights": "."}, "holds no .safetensors file"),
            ({"modles": "x"}, "did you mean 'models'"),
        ],
    )
    def test_what_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], problem: str
    ) -> None:
        monkeypatch.delenv("MUSEWATCH_MODELS", raising=False)
        with pytest.raises(ConfigError, match=problem):
            embedder(tmp_path, "transformers", **settings)


class TestByManifest:
    """The same weights as an engine: a folder of files, each with its digest."""

    @pytest.fixture
    def manifest(self, folders: dict[str, Path], tmp_path: Path) -> Path:
        folder = shutil.copytree(folders["transformers_siglip2"], tmp_path / "weights")
        digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
        document = {
            "schema": "musewatch.engine/1", "name": "siglip", "role": "embedder",
            "file": "weights/model.safetensors", "sha256": digests.pop("model.safetensors"), "files": digests,
            "licence": "Apache-2.0", "provenance": "drawn by a test",
            "preprocess": {"library": "transformers", "whole": True}, "operating_point": {"max_distance": 0.9},
        }  # fmt: skip
        (tmp_path / "siglip.yaml").write_text(yaml.safe_dump(document))
        return tmp_path / "siglip.yaml"

    def test_they_are_the_engine_that_the_folder_is(self, folders: dict[str, Path], manifest: Path) -> None:
        found = embedder(manifest.parent, "transformers", weights=None, engine=str(manifest))
        by_folder = embedder(folders["transformers_siglip2"], "transformers")
        assert found.engine_digest == by_folder.engine_digest == load_manifest(manifest).digest
        np.testing.assert_array_equal(found.embed(CROPS), by_folder.embed(CROPS))
        assert (found.max_distance, by_folder.max_distance) == (0.9, None)

    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            (lambda folder: (folder / "config.json").write_text("{}"), "config.json has sha256"),
            (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json cannot be read"),
            (lambda folder: (folder / "added.json").write_text("{}"), "added.json lies beside the weights"),
        ],
    )
    def test_a_file_that_is_not_the_manifests_is_refused(
        self, manifest: Path, damage: Callable[[Path], object], problem: str
    ) -> None:
        damage(manifest.parent / "weights")
        with pytest.raises(ConfigError, match=problem):
            embedder(manifest.parent, "transformers", weights=None, engine=str(manifest))

    def test_another_library_is_refused(self, manifest: Path) -> None:
        with pytest.raises(ConfigError, match="engine siglip is not fed by that library"):
            embedder(manifest.parent, "clip", weights=None, engine=str(manifest))

    def test_an_embedder_without_a_library_names_the_one(self, manifest: Path) -> None:
        with pytest.raises(ConfigError, match=r"opened by the library transformers.*use: transformers"):
            build("embedder", choose("onnx", engine=str(manifest)), manifest.parent, "embedder")


class TestRefused:
    @pytest.mark.parametrize("name", ["open_clip", "timm_pe", "transformers_clip"])
    @pytest.mark.parametrize("kind", [".bin", ".pt"])
    def test_a_pickle_with_the_way_to_convert_it(
        self, folders: dict[str, Path], tmp_path: Path, name: str, kind: str
    ) -> None:
        import torch
        from safetensors.torch import load_file

        folder = shutil.copytree(folders[name], tmp_path / name)
        (safe,) = folder.glob("*.safetensors")
        torch.save({"state_dict": load_file(safe)}, safe.with_suffix(kind))
        right = embedder(folder, USES[name]).embed(CROPS)
        safe.unlink()
        with pytest.raises(ConfigError, match="is a pickle, which runs code when it is opened") as caught:
            embedder(folder, USES[name])
        command = str(caught.value).split('python -c "')[1].split('" with IN = ')[0]
        code = command.replace("IN", str(safe.with_suffix(kind))).replace("OUT", str(safe))
        exec(code, {})
        np.testing.assert_allclose(embedder(folder, USES[name]).embed(CROPS), right, atol=1e-6)

    @pytest.mark.parametrize("name", USES)
    def test_damaged_weights(self, folders: dict[str, Path], tmp_path: Path, name: str) -> None:
        folder = shutil.copytree(folders[name], tmp_path / name)
        (file,) = folder.glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(ConfigError, match=f"embedder {USES[name]} cannot open"):
            embedder(folder, USES[name])

    @pytest.mark.parametrize("name", USES)
    def test_weights_that_lack_a_part(self, folders: dict[str, Path], tmp_path: Path, name: str) -> None:
        from safetensors.torch import load_file, save_file

        folder = shutil.copytree(folders[name], tmp_path / name)
        (file,) = folder.glob("*.safetensors")
        state = load_file(file)
        lost = next(
            key for key in state if key.endswith(("norm1.weight", "layer_norm1.weight", "ln_1.weight"))
        )
        del state[lost]
        save_file(state, file, {"format": "pt"})
        with pytest.raises(ConfigError, match=r"lacks weights|Missing key"):
            embedder(folder, USES[name])

    @pytest.mark.parametrize(
        ("name", "use", "problem"),
        [
            ("transformers_clip", "clip", "works with use: transformers"),
            ("open_clip", "timm", "no config.json lies in"),
            ("open_clip", "transformers", "cannot open"),
        ],
    )
    def test_the_layout_of_another_library(
        self, folders: dict[str, Path], name: str, use: str, problem: str
    ) -> None:
        with pytest.raises(ConfigError, match=problem):
            embedder(folders[name], use)

    def test_several_files_of_which_none_is_called_right(
        self, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        for name in ("open_clip", "timm_pe"):
            folder = shutil.copytree(folders[name], tmp_path / name)
            (file,) = folder.glob("*.safetensors")
            shutil.copy(file, folder / "a.safetensors")
            embedder(folder, USES[name])
            file.rename(folder / "b.safetensors")
            with pytest.raises(ConfigError, match=r"holds a\.safetensors, b\.safetensors"):
                embedder(folder, USES[name])

    def test_code_that_comes_with_weights_is_not_run(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = shutil.copytree(folders["transformers_clip"], tmp_path / "code")
        settings = json.loads((folder / "config.json").read_text())
        settings |= {"model_type": "odd", "auto_map": {"AutoConfig": "odd.Odd", "AutoModel": "odd.OddModel"}}
        (folder / "config.json").write_text(json.dumps(settings))
        (folder / "odd.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        with pytest.raises(ConfigError, match="cannot open"):
            embedder(folder, "transformers")
        assert not (tmp_path / "ran").exists()

    def test_a_config_that_sends_for_more_gets_nothing(
        self, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reached: list[object] = []
        monkeypatch.setattr("socket.getaddrinfo", lambda *where, **_: reached.append(where))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        folder = shutil.copytree(folders["open_clip"], tmp_path / "far")
        settings = json.loads((folder / "open_clip_config.json").read_text())
        settings["model_cfg"]["text_cfg"] = {
            "hf_model_name": "nobody/far-away",
            "hf_tokenizer_name": "nobody/far-away",
        }
        (folder / "open_clip_config.json").write_text(json.dumps(settings))
        with pytest.raises(ConfigError, match="cannot open"):
            embedder(folder, "clip")
        assert reached == []

    def test_a_gpu_that_is_not_there(self, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(ConfigError, match="torch finds no GPU"):
            embedder(folders["open_clip"], "clip", device="cuda")


class TestLicences:
    @pytest.mark.parametrize("name", ["vit_base_patch16_clip_224.metaclip_2pt5b", "PE-Core-B-16", "mine"])
    def test_they_are_named_once_and_research_only_warns(
        self, folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        caplog.set_level(logging.INFO, local_weights.__name__)
        folder = shutil.copytree(folders["open_clip"], tmp_path / name)
        for _ in range(2):
            embedder(folder, "clip")
        (record,) = caplog.records
        said = {
            "vit_base_patch16_clip_224.metaclip_2pt5b": (
                logging.WARNING,
                "FOR RESEARCH ONLY; licence CC-BY-NC-4.0",
            ),
            "PE-Core-B-16": (logging.INFO, "timm/PE-Core-B-16: licence Apache-2.0; trained on Meta's own"),
            "mine": (logging.INFO, "does not know their licence"),
        }[name]
        assert record.levelno == said[0]
        assert said[1] in record.getMessage()


def test_the_environment_is_left_as_it_was(folders: dict[str, Path]) -> None:
    before = dict(os.environ)
    embedder(folders["open_clip"], "clip")
    assert dict(os.environ) == before


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plugins.embedders.clip", None)
    with pytest.raises(UnknownPluginError, match="extra NAMES=train"):
        embedder(tmp_path, "clip")
