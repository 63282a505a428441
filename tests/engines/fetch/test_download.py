"""One file from a publisher that is whole, cut off, changed, slow, without ranges, moved or away."""

import errno
import fcntl
import hashlib

import numpy as np
import pytest

from engines.errors import EngineFileError
from engines.fetch import download as module
from engines.fetch.catalogue import Published
from engines.fetch.download import Patience, download
from pipeline.errors import DiskFullError, InputError, OutsideError
from tests.servers.publisher import Publisher, Shelf

DATA = np.random.default_rng(0).bytes(50_000)
OTHER = np.random.default_rng(1).bytes(50_000)
QUICK = Patience(silence_s=2, whole_s=20, tries=4, pause_s=0.01)
ONCE = Patience(silence_s=2, whole_s=20, tries=1)


@pytest.fixture(scope="module")
def server():
    with Publisher() as publisher:
        yield publisher


@pytest.fixture
def publisher(server):
    server.files = {"n.onnx": Shelf(DATA)}
    server.asked.clear()
    return server


def published(publisher, **keys):
    digest = hashlib.sha256(DATA).hexdigest()
    document = {"name": "n.onnx", "url": publisher.url("n.onnx"), "bytes": len(DATA), "said_by": "a test"}
    return Published.model_validate({**document, "sha256": digest, **keys})


def ranges(publisher):
    return [wanted for _, wanted in publisher.asked]


def test_a_whole_file(publisher, tmp_path):
    path = download(published(publisher), tmp_path / "new", QUICK)
    assert path.read_bytes() == DATA
    assert [each.name for each in path.parent.iterdir()] == ["n.onnx"]


def test_the_digest_may_be_sha384(publisher, tmp_path):
    file = published(publisher, sha256=None, sha384=hashlib.sha384(DATA).hexdigest())
    assert download(file, tmp_path, QUICK).read_bytes() == DATA


def test_what_is_there_already_is_not_asked_for(publisher, tmp_path):
    (tmp_path / "n.onnx").write_bytes(DATA)
    download(published(publisher), tmp_path, QUICK)
    assert publisher.asked == []


def test_a_file_cut_off_twice_is_gone_on_with(publisher, tmp_path):
    publisher.files["n.onnx"].cuts = [20_000, 5_000]
    assert download(published(publisher), tmp_path, QUICK).read_bytes() == DATA
    assert ranges(publisher) == [None, "bytes=20000-", "bytes=25000-"]


def test_the_next_call_goes_on_where_this_one_was_cut_off(publisher, tmp_path):
    publisher.files["n.onnx"].cuts = [20_000]
    with pytest.raises(
        OutsideError, match=r"cut off.*; 20000 of 50000 bytes are here.*it goes on from there"
    ):
        download(published(publisher), tmp_path, ONCE)
    assert download(published(publisher), tmp_path, ONCE).read_bytes() == DATA
    assert ranges(publisher) == [None, "bytes=20000-"]


def test_a_publisher_without_ranges_is_asked_from_the_start(publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(DATA, ranges=False, cuts=[20_000])
    assert download(published(publisher), tmp_path, QUICK).read_bytes() == DATA


def test_a_changed_file_is_refused_and_not_kept(publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(OTHER)
    with pytest.raises(InputError, match=r"is another file: sha256 [0-9a-f]{64}, not ") as refusal:
        download(published(publisher), tmp_path, QUICK)
    assert refusal.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_half_of_another_file_is_thrown_away_once(publisher, tmp_path):
    (tmp_path / ".n.onnx.part").write_bytes(OTHER[:20_000])
    assert download(published(publisher), tmp_path, QUICK).read_bytes() == DATA
    assert ranges(publisher) == ["bytes=20000-", None]


def test_a_draft_too_long_is_begun_again(publisher, tmp_path):
    (tmp_path / ".n.onnx.part").write_bytes(OTHER + b"more")
    with pytest.raises(InputError, match="larger than 50000 bytes"):
        download(published(publisher), tmp_path, QUICK)
    assert download(published(publisher), tmp_path, QUICK).read_bytes() == DATA


def test_no_more_is_read_than_the_file_may_have(publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(DATA + OTHER)
    with pytest.raises(InputError, match="larger than 50000 bytes"):
        download(published(publisher), tmp_path, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_shorter_file_is_not_the_file(publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(DATA[:30_000])
    with pytest.raises(OutsideError, match="416"):
        download(published(publisher), tmp_path, Patience(silence_s=2, whole_s=20, tries=2, pause_s=0))


def test_a_slow_publisher_is_left_in_time_and_gone_on_with(publisher, tmp_path):
    publisher.files["n.onnx"].pause_s = 0.05
    with pytest.raises(OutsideError, match=r"not whole after 0\.3 s; [1-9]\d* of 50000"):
        download(published(publisher), tmp_path, Patience(silence_s=2, whole_s=0.3))
    publisher.files["n.onnx"].pause_s = 0
    assert download(published(publisher), tmp_path, QUICK).read_bytes() == DATA
    assert ranges(publisher)[-1].startswith("bytes=")


def test_a_silent_publisher_is_left(publisher, tmp_path):
    publisher.files["n.onnx"].pause_s = 0.6
    with pytest.raises(OutsideError, match=r"cut off \(timed out\); 1024 of"):
        download(published(publisher), tmp_path, Patience(silence_s=0.2, whole_s=20, tries=1))


def test_a_redirect_is_followed_with_its_range(publisher, tmp_path):
    publisher.files["there"] = Shelf(DATA, cuts=[20_000])
    publisher.files["n.onnx"] = Shelf(moved_to=publisher.url("there"))
    assert download(published(publisher), tmp_path, QUICK).read_bytes() == DATA
    assert publisher.asked[-1] == ("/there", "bytes=20000-")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/n.onnx"])
def test_a_redirect_out_of_http_is_not_followed(to, publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(moved_to=to)
    with pytest.raises(OutsideError):
        download(published(publisher), tmp_path, ONCE)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_away_from_https_is_not_followed():
    request = module.urllib.request.Request("https://publisher.example/n.onnx")
    with pytest.raises(module.urllib.error.URLError, match="not safe"):
        module._SafeRedirects().redirect_request(
            request, None, 302, "", {}, "http://publisher.example/n.onnx"
        )


def test_a_redirect_in_a_circle_ends(publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(moved_to=publisher.url("n.onnx"))
    with pytest.raises(OutsideError, match="302"):
        download(published(publisher), tmp_path, ONCE)


def test_a_missing_file_says_its_status(publisher, tmp_path):
    with pytest.raises(OutsideError, match="it answers 404") as refusal:
        download(published(publisher, url=publisher.url("gone")), tmp_path, QUICK)
    assert refusal.value.exit_code == 4
    assert len(publisher.asked) == 1  # it would not come by asking again


def test_a_publisher_in_trouble_is_asked_again(publisher, tmp_path):
    publisher.files["n.onnx"] = Shelf(status=503)
    with pytest.raises(OutsideError, match="it answers 503"):
        download(published(publisher), tmp_path, QUICK)
    assert len(publisher.asked) == QUICK.tries


def test_nobody_there(tmp_path, publisher):
    with pytest.raises(OutsideError, match=r"cannot be reached \(Connection refused\).*--from FILE"):
        download(published(publisher, url="http://127.0.0.1:9/n.onnx"), tmp_path, Patience())


def test_two_at_once_do_not_write_one_draft(publisher, tmp_path):
    with (tmp_path / ".n.onnx.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(EngineFileError, match="another fetch is writing"):
            download(published(publisher), tmp_path, QUICK)


def test_a_full_disk_says_so(publisher, tmp_path, monkeypatch):
    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module._Transfer, "finish", full)
    with pytest.raises(DiskFullError, match="no room"):
        download(published(publisher), tmp_path, QUICK)


def test_a_folder_that_cannot_be_one_says_so(publisher, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EngineFileError, match="cannot be written"):
        download(published(publisher), tmp_path / "file", QUICK)
