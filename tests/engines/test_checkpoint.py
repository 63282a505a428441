"""A trained network on disk: back as it was, or one clear error."""

import hashlib
import pickle
import re
from pathlib import Path

import pytest
import yaml

from engines.architectures import load_network
from engines.checkpoint import load_checkpoint, save_checkpoint
from engines.errors import EngineError, EngineFileError, ManifestError
from engines.manifest import CARD, UNSAVED, WEIGHTS, load_manifest
from pipeline.cli.main import main
from tests.engines.networks import SIZE, embedder_card, know_tiny_networks, tiny_embedder

torch = pytest.importorskip("torch", reason="needs torch")
pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _networks(monkeypatch):
    know_tiny_networks(monkeypatch)


@pytest.fixture
def saved(tmp_path):
    save_checkpoint(tmp_path / "net", trained(), embedder_card())
    return tmp_path / "net"


def trained(dimension=16):
    module = tiny_embedder(dimension)
    for seed, parameter in enumerate(module.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    module(torch.rand(4, 3, *SIZE))  # so that the batch norm has seen something
    return module


def rewrite(folder, **keys):
    document = yaml.safe_load((folder / CARD).read_text()) | keys
    (folder / CARD).write_text(yaml.safe_dump(document))


def test_a_network_comes_back_as_it_was(tmp_path):
    module = trained()
    card = embedder_card(accuracy={"mAP": 0.7}, operating_point={"max_distance": 0.8})
    save_checkpoint(tmp_path / "deep" / "net", module, card)

    again, read = load_checkpoint(tmp_path / "deep" / "net")

    assert read.model_copy(update={"sha256": UNSAVED}).model_dump() == card.model_dump()
    assert not again.training
    pictures = torch.rand(3, 3, *SIZE)
    torch.testing.assert_close(again(pictures), module.eval()(pictures), rtol=0, atol=0)
    assert sorted(path.name for path in (tmp_path / "deep" / "net").iterdir()) == [CARD, WEIGHTS]


def test_a_checkpoint_is_replaced(saved):
    module = trained()
    torch.nn.init.zeros_(module[0].bias)
    save_checkpoint(saved, module, embedder_card(provenance="a second time"))
    again, card = load_checkpoint(saved)
    assert card.provenance == "a second time"
    assert again[0].bias.abs().sum() == 0


def test_tensors_that_share_memory_are_saved(saved):
    module = trained()
    module[4].bias = module[4].weight
    save_checkpoint(saved, module, embedder_card())
    again, _ = load_checkpoint(saved)
    assert torch.equal(again[4].bias, module[4].bias)


def test_loading_draws_no_random_numbers(saved):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_checkpoint(saved)
    assert torch.equal(torch.rand(3), expected)


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def pickled(path):
    path.write_bytes(pickle.dumps({"weights": [1]}))


DAMAGE = {
    "a flipped bit": (
        lambda folder: flip_a_bit(folder / WEIGHTS),
        EngineFileError,
        "has sha256 .* a save that was cut off",
    ),
    "a pickle": (
        lambda folder: pickled(folder / WEIGHTS),
        EngineFileError,
        "is a pickle, which can run code",
    ),
    "no weights": (
        lambda folder: (folder / WEIGHTS).unlink(),
        EngineFileError,
        "cannot be read: No such file",
    ),
    "no card": (lambda folder: (folder / CARD).unlink(), ManifestError, "there is no manifest"),
    "a card of noise": (
        lambda folder: (folder / CARD).write_bytes(b"\xff\xfe\x00"),
        ManifestError,
        "not a manifest",
    ),
    "a card of text": (
        lambda folder: (folder / CARD).write_text("hello"),
        ManifestError,
        "expected keys and values",
    ),
    "an unknown key": (
        lambda folder: rewrite(folder, licens="x"),
        ManifestError,
        "licens: unknown key; did you mean 'licence'",
    ),
    "an unknown inner key": (
        lambda folder: rewrite(folder, preprocess={"color": "rgb"}),
        ManifestError,
        "did you mean 'colour'",
    ),
    "an unknown network": (
        lambda folder: rewrite(folder, network={"use": "tiny"}),
        ManifestError,
        "no network is called 'tiny'; known: .*tiny-detector",
    ),
    "a missing library": (
        lambda folder: rewrite(folder, network={"use": "without-library"}),
        ManifestError,
        "No module named .*train",
    ),
    "arguments it refuses": (
        lambda folder: rewrite(folder, network={"use": "tiny-embedder", "arguments": {"depth": 3}}),
        ManifestError,
        "cannot be built from .depth=3.: TypeError",
    ),
    "other weights": (
        lambda folder: rewrite(folder, network={"use": "tiny-embedder", "arguments": {"dimension": 8}}),
        EngineFileError,
        r"of another shape: 8.weight \(16, 64\) for \(8, 64\)",
    ),
    "a detector without decoder": (
        lambda folder: rewrite(folder, role="detector"),
        ManifestError,
        "needs a decoder",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_will_not_do_is_one_clear_error(case, saved):
    damage, kind, says = DAMAGE[case]
    damage(saved)
    with pytest.raises(kind, match=says) as caught:
        load_checkpoint(saved)
    assert str(saved) in str(caught.value)
    assert caught.value.exit_code == 2


def test_weights_that_are_none_are_refused_whatever_their_digest(saved):
    cut = (saved / WEIGHTS).read_bytes()[:200]
    (saved / WEIGHTS).write_bytes(cut)
    rewrite(saved, sha256=hashlib.sha256(cut).hexdigest())
    with pytest.raises(EngineFileError, match="the weights are damaged"):
        load_checkpoint(saved)


def test_a_checkpoint_from_before_it_was_an_engine_still_opens(saved):
    document = yaml.safe_load((saved / CARD).read_text())
    network, _ = document.pop("network"), document.pop("file")
    old = document | network | {"schema": "musewatch.network/1", "decoder": None, "operating_point": None}
    now = load_manifest(saved)
    (saved / CARD).write_text(yaml.safe_dump(old))
    module, manifest = load_checkpoint(saved)
    assert manifest == now
    assert manifest.digest == now.digest
    assert module(torch.zeros(1, 3, *SIZE)).shape == (1, 16)


def test_a_checkpoint_is_an_engine(saved, capsys):
    assert main(["engines", "check", str(saved)]) == 0
    assert "tiny fits" in capsys.readouterr().out


def test_weights_are_mapped_not_read(saved, monkeypatch):
    manifest = load_manifest(saved)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read as a whole"))
    load_network(manifest)


def test_many_wrong_tensors_are_counted_not_listed(saved):
    save_checkpoint(saved, torch.nn.Linear(2, 2), embedder_card())
    with pytest.raises(EngineFileError) as caught:
        load_checkpoint(saved)
    assert re.search(
        r"missing: 0\.weight, 0\.bias, 1\.weight and 13 more; unknown: bias, weight", str(caught.value)
    )


def test_only_what_can_be_written_down_is_an_argument():
    with pytest.raises(ValueError, match="only text, numbers"):
        embedder_card(network={"use": "tiny-embedder", "arguments": {"layer": object()}})


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="cannot be written: Not a directory"):
        save_checkpoint(tmp_path / "file" / "net", trained(), embedder_card())
