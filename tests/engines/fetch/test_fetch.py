"""`musewatch engines fetch` as an operator types it, against a publisher on this machine."""

import hashlib
import json

import pytest
import yaml

from engines.fetch import catalogue, download
from engines.fetch import fetch as fetching
from engines.fetch.catalogue import load_catalogue
from engines.manifest import load_manifest
from engines.testing import stripe_embedder
from pipeline.cli.main import main
from pipeline.errors import ConfigError
from tests.engines.fetch.ir import embedder
from tests.servers.publisher import Publisher, Shelf

NETWORK = stripe_embedder((64, 32))
LICENCES = {"code": "MIT", "weights": "Apache-2.0", "data": "pictures of nobody"}


@pytest.fixture(scope="module")
def server():
    with Publisher() as publisher:
        yield publisher


@pytest.fixture(scope="module")
def topology(tmp_path_factory):
    return embedder((32, 16))[0].save(tmp_path_factory.mktemp("ir"))


def described(server, name, files, **keys):
    listed = []
    for file, data in files.items():
        server.files[file] = Shelf(data)
        digest = hashlib.sha256(data).hexdigest()
        listed.append(
            {"name": file, "url": server.url(file), "bytes": len(data), "sha256": digest, "said_by": "a test"}
        )
    feeding = {"colour": "bgr", "resize": "stretch", "size": [64, 32]}
    manifest = {"role": "embedder", "preprocess": feeding, "operating_point": {"max_distance": 0.7}}
    texts = {"about": "stripes", "publisher": "a test", "measured": "not at all", "licences": LICENCES}
    return {"name": name, "files": listed, "manifest": manifest, **texts, **keys}


@pytest.fixture
def publisher(server, topology, tmp_path, monkeypatch):
    """The catalogue offers: stripes as they are, one from OpenVINO's two files, one under narrower terms."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)
    monkeypatch.setattr(download, "PATIENCE", download.Patience(silence_s=2, whole_s=20, tries=1))
    server.files, server.asked[:] = {}, []
    small = {"colour": "bgr", "resize": "stretch", "size": [32, 16]}
    engines = [
        described(server, "stripes", {"stripes.onnx": NETWORK}),
        described(
            server, "zoo", {path.name: path.read_bytes() for path in topology},
            convert="openvino", manifest={"role": "embedder", "preprocess": small},
        ),
        described(server, "study", {"study.onnx": NETWORK}, terms="for research only"),
        described(server, "broken", {"broken.onnx": b"no network"}),
    ]  # fmt: skip
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump({"engines": engines, "sets": {"real": ["stripes", "zoo"]}}))
    monkeypatch.setattr(catalogue, "CATALOGUE", path)
    return server


@pytest.fixture
def call(capfd):
    """Exit code, stdout (parsed with --json) and stderr of a command line."""

    def run(*words):
        code = main(["engines", "fetch", *map(str, words)])
        out, err = capfd.readouterr()
        return code, json.loads(out) if "--json" in words else out, err

    return run


def test_an_engine_is_fetched_shown_and_used_by_its_name(publisher, call, tmp_path):
    code, out, err = call("stripes")
    assert (code, out) == (0, "embedder: {use: onnx, engine: stripes}\n")
    assert "licence of the code MIT, of the weights Apache-2.0; trained on pictures of nobody" in err
    manifest = load_manifest(tmp_path / "data/engines/stripes/stripes.yaml")
    assert manifest.path.read_bytes() == NETWORK
    assert publisher.url("stripes.onnx") in manifest.provenance
    assert hashlib.sha256(NETWORK).hexdigest() in manifest.provenance
    assert [path.name for path in (tmp_path / "data/engines").iterdir()] == ["stripes"]
    assert main(["engines", "check", "stripes"]) == 0


def test_a_second_fetch_asks_nobody(publisher, call):
    call("stripes")
    publisher.asked.clear()
    code, answer, _ = call("stripes", "--json")
    assert (code, answer["engines"][0]["new"], publisher.asked) == (0, False, [])


def test_a_set_brings_its_engines_and_the_lines_of_a_config(publisher, call):
    code, answer, _ = call("real", "--json")
    lines = ["embedder: {use: onnx, engine: stripes}", "embedder: {use: onnx, engine: zoo}"]
    assert (code, answer["config"]) == (0, lines)
    assert [engine["new"] for engine in answer["engines"]] == [True, True]


def test_what_was_cut_off_is_gone_on_with_by_the_next_call(publisher, call):
    publisher.files["stripes.onnx"].cuts = [100]
    code, out, err = call("stripes")
    assert (code, out) == (4, "")
    assert f"100 of {len(NETWORK)} bytes are here" in err
    assert call("stripes")[0] == 0
    assert publisher.asked == [("/stripes.onnx", None), ("/stripes.onnx", "bytes=100-")]


def test_another_file_is_refused_and_leaves_nothing(publisher, call, tmp_path):
    publisher.files["stripes.onnx"] = Shelf(NETWORK[::-1])
    code, answer, _ = call("stripes", "--json")
    assert (code, answer["ok"]) == (3, False)
    assert "is another file" in answer["error"]
    assert list((tmp_path / "data/engines").iterdir()) == []


def test_files_that_are_here_need_no_network_whatever_they_are_called(publisher, call, tmp_path):
    (tmp_path / "renamed.onnx").write_bytes(NETWORK)
    assert call("stripes", "--from", tmp_path / "renamed.onnx")[0] == 0
    assert publisher.asked == []


def test_one_of_two_files_or_their_folder_is_enough(publisher, call, topology, tmp_path):
    assert call("zoo", "--from", topology[0])[0] == 0
    assert load_manifest(tmp_path / "data/engines/zoo/zoo.yaml").file.name == "net.onnx"
    (topology[0].parent / "stripes.onnx").write_bytes(NETWORK)
    code, answer, _ = call("real", "--from", topology[0].parent, "--json")
    assert (code, [engine["new"] for engine in answer["engines"]]) == (0, [True, False])
    assert publisher.asked == []


@pytest.mark.parametrize(
    ("given", "words"),
    [("catalogue.yaml", "is not among what --from gives: catalogue.yaml"), ("nowhere", "no such file")],
)
def test_other_files_are_refused(given, words, publisher, call, tmp_path):
    code, out, err = call("stripes", "--from", tmp_path / given)
    assert (code, out) == (3, "")
    assert words in err
    assert publisher.asked == []


def test_a_file_that_cannot_be_read_is_named(publisher, call, tmp_path, monkeypatch):
    def locked(path, build):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(fetching, "fits", locked)
    code, _, err = call("stripes", "--from", tmp_path / "catalogue.yaml")
    assert code == 3
    assert "catalogue.yaml cannot be read: Permission denied" in err


def test_another_build_of_the_publishers_network_is_taken_where_it_is_listed(publisher, call, tmp_path):
    document = yaml.safe_load(catalogue.CATALOGUE.read_text())
    other = stripe_embedder((64, 32), batch=1)
    build = {"bytes": len(other), "sha256": hashlib.sha256(other).hexdigest(), "said_by": "another test"}
    document["engines"][0]["files"][0]["other_builds"] = [build]
    catalogue.CATALOGUE.write_text(yaml.safe_dump(document))
    (tmp_path / "other.onnx").write_bytes(other)
    assert call("stripes", "--from", tmp_path / "other.onnx")[0] == 0
    assert "another test" in load_manifest(tmp_path / "data/engines/stripes/stripes.yaml").provenance
    assert call("stripes", "--json")[1]["engines"][0]["new"] is False


def test_narrower_terms_must_be_accepted_by_word(publisher, call):
    code, out, err = call("study")
    assert (code, out) == (2, "")
    assert "for research only" in err
    assert "--accept-terms" in err
    assert publisher.asked == []
    assert call("study", "--accept-terms")[0] == 0


def test_a_network_that_does_not_open_is_not_kept(publisher, call, tmp_path):
    code, out, _ = call("broken")
    assert (code, out) == (2, "")
    assert not (tmp_path / "data/engines/broken").exists()


def test_an_engine_of_the_same_name_is_not_replaced(publisher, call, tmp_path):
    call("stripes")
    manifest = tmp_path / "data/engines/stripes/stripes.yaml"
    manifest.write_text(manifest.read_text().replace(hashlib.sha256(NETWORK).hexdigest(), "0" * 64))
    code, _, err = call("stripes")
    assert code == 2
    assert "is there already, and is another engine, or damaged" in err


def test_unknown_names_and_none_at_all(publisher, call):
    code, _, err = call("strips")
    assert code == 2
    assert "one of: real, stripes, zoo, study, broken" in err
    assert call()[0] == 2


def test_the_list_asks_nobody(publisher, call):
    code, out, _ = call("--list")
    assert code == 0
    assert "study" in out
    assert "real = stripes + zoo" in out
    listed = call("--list", "--json")[1]
    assert [engine["name"] for engine in listed["engines"]] == ["stripes", "zoo", "study", "broken"]
    assert listed["engines"][2]["terms"] == "for research only"
    assert publisher.asked == []


def test_the_catalogue_that_ships_says_all_of_every_engine():
    shipped = load_catalogue()
    assert {"yolox-nano", "yolox-tiny", "yolox-s", "yolox-m", "dfine-nano", "nanodet-m"} <= {
        e.name for e in shipped.engines
    }
    assert {f"retail-{n}" for n in ("0267", "0277", "0286", "0287")} <= {e.name for e in shipped.engines}
    pair = shipped.find("real")
    assert [entry.role for entry in pair] == ["detector", "embedder"]
    assert "operating_point" in pair[1].manifest
    assert all(not entry.terms for entry in pair)
    assert "research only" in str(shipped.find("osnet-x0.25")[0].terms)
    for entry in shipped.engines:
        assert all(file.url.startswith("https://") for file in entry.files)


@pytest.mark.parametrize("change", [
    {"sets": {"real": ["nobody"]}},
    {"sets": {"stripes": ["zoo"]}},
    {"manifest": {"role": "embedder"}},
    {"sha256": None},
])  # fmt: skip
def test_a_wrong_catalogue_is_refused(change, publisher):
    document = yaml.safe_load(catalogue.CATALOGUE.read_text())
    if "sets" in change:
        document |= change
    elif "manifest" in change:
        document["engines"][0] |= change
    else:
        document["engines"][0]["files"][0] |= change
    catalogue.CATALOGUE.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError):
        load_catalogue()
