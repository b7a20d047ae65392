"""Downloads: resumed, retried, checked, and never half-written, against a server of our own."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headstart import HeadstartError
from headstart.data import downloads

CONTENT = bytes(range(256)) * 1200  # several chunks
SHA1 = hashlib.sha1(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`; closes the connection half-way for the first `drops` answers."""

    daemon_threads = True
    content = CONTENT
    drops = 0
    status = 200
    ranges = True
    tag: str | None = '"one"'
    length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/sets/pics.zip?key=1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        if server.status != 200:
            return self.send_error(server.status)
        same = server.tag is not None and self.headers["If-Range"] == server.tag
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and same and server.ranges else 0
        if start and start >= len(server.content):
            return self.send_error(416)
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.drops:
            server.drops -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "_PAUSES", [0.0, 0.0, 0.0])
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        yield server
        server.shutdown()


def refused(*arguments) -> str:
    with pytest.raises(HeadstartError) as error:
        downloads.fetch(*arguments)
    text = str(error.value)
    assert text.startswith("dataset.") and "\n" not in text
    return text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("expected", [f"sha1:{SHA1}", SHA1.upper(), f" SHA1:{SHA1} "])
def test_good_hash_downloads_once(server, tmp_path, expected):
    path, digest = downloads.fetch(server.address, expected, tmp_path / "new" / "er")
    assert path.read_bytes() == CONTENT and digest == f"sha1:{SHA1}"
    assert names(path.parent) == ["pics.zip"]
    assert downloads.fetch(server.address, expected, path.parent) == (path, digest)
    assert server.asked == [None]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_kind_of_hash_from_its_length(server, tmp_path, kind):
    digits = hashlib.new(kind, CONTENT).hexdigest()
    assert downloads.fetch(server.address, digits, tmp_path)[1] == f"{kind}:{digits}"


def test_bad_hash_leaves_nothing(server, tmp_path):
    text = refused(server.address, "md5:" + "0" * 32, tmp_path)
    found = hashlib.md5(CONTENT).hexdigest()
    assert all(w in text for w in [server.address, found, "0" * 32, "correct dataset.hash"])
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", ["abc", "sha1:" + "0" * 64, "crc:" + "0" * 32, "g" * 40])
def test_hash_that_is_none(tmp_path, text):
    assert "dataset.hash" in refused("http://127.0.0.1:1/x", text, tmp_path)


def test_damaged_download_is_replaced(server, tmp_path):
    path, _ = downloads.fetch(server.address, SHA1, tmp_path)
    path.write_bytes(b"damaged")
    downloads.fetch(server.address, SHA1, tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("status, asked", [(404, 1), (403, 1), (503, 4), (429, 4)])
def test_refusals_name_the_status(server, tmp_path, status, asked):
    server.status = status
    text = refused(server.address, SHA1, tmp_path)
    assert f"status {status}" in text and server.address in text
    assert len(server.asked) == asked
    assert names(tmp_path) == []


def test_dropped_connection_resumes(server, tmp_path):
    server.drops = 2
    path, _ = downloads.fetch(server.address, SHA1, tmp_path)
    assert path.read_bytes() == CONTENT
    starts = [int(re.findall(r"\d+", asked)[0]) for asked in server.asked[1:]]
    assert len(starts) == 2 and 0 < starts[0] < starts[1]
    assert names(tmp_path) == ["pics.zip"]


def test_a_later_call_resumes(server, tmp_path, monkeypatch):
    server.drops = 100
    monkeypatch.setattr(downloads, "_PAUSES", [])
    text = refused(server.address, SHA1, tmp_path)
    assert "broke off" in text and "run again to resume" in text
    assert names(tmp_path) == ["pics.zip.partial", "pics.zip.partial.validator"]
    size = (tmp_path / "pics.zip.partial").stat().st_size
    server.drops = 0
    path, _ = downloads.fetch(server.address, SHA1, tmp_path)
    assert server.asked[-1] == f"bytes={size}-" and size > 0
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["pics.zip"]


def test_attempts_end_when_nothing_more_comes(server, tmp_path):
    server.drops, server.ranges = 10**6, False
    assert "broke off" in refused(server.address, SHA1, tmp_path)
    assert len(server.asked) == 4


@pytest.mark.parametrize("change", [{"ranges": False}, {"tag": None}])
def test_server_that_cannot_resume_begins_anew(server, tmp_path, change):
    server.__dict__.update(change, drops=1)
    path, _ = downloads.fetch(server.address, None, tmp_path)
    assert path.read_bytes() == CONTENT and len(server.asked) == 2


def test_content_that_changed_meanwhile_is_not_spliced(server, tmp_path, monkeypatch):
    server.drops = 1
    monkeypatch.setattr(downloads, "_PAUSES", [])
    refused(server.address, None, tmp_path)
    server.tag, server.content = '"two"', CONTENT[::-1]
    path, _ = downloads.fetch(server.address, None, tmp_path)
    assert path.read_bytes() == CONTENT[::-1]


def test_partial_longer_than_the_content(server, tmp_path):
    (tmp_path / "pics.zip.partial").write_bytes(CONTENT + b"more")
    (tmp_path / "pics.zip.partial.validator").write_text('"one"')
    path, _ = downloads.fetch(server.address, SHA1, tmp_path)
    assert path.read_bytes() == CONTENT


def test_no_content_length(server, tmp_path):
    server.length = False
    assert downloads.fetch(server.address, SHA1, tmp_path)[0].read_bytes() == CONTENT


def test_first_download_is_trusted_and_held_to(server, tmp_path):
    path, digest = downloads.fetch(server.address, None, tmp_path)
    record = tmp_path / "pics.zip.sha256"
    assert digest == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    assert record.read_text() == f"{digest.removeprefix('sha256:')}  pics.zip\n"
    assert downloads.fetch(server.address, None, tmp_path) == (path, digest)
    assert len(server.asked) == 1
    path.unlink()
    server.content = b"changed"
    text = refused(server.address, None, tmp_path)
    assert digest in text and hashlib.sha256(b"changed").hexdigest() in text
    assert f"delete {record}" in text
    assert names(tmp_path) == ["pics.zip.sha256"]
    record.unlink()
    assert downloads.fetch(server.address, None, tmp_path)[0].read_bytes() == b"changed"


def test_a_file_that_nobody_vouches_for_is_fetched_anew(server, tmp_path):
    (tmp_path / "pics.zip").write_bytes(b"half")
    assert downloads.fetch(server.address, None, tmp_path)[0].read_bytes() == CONTENT


def test_unreachable(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_PAUSES", [0.0])
    text = refused("http://127.0.0.1:1/pics.zip", None, tmp_path)
    assert "cannot be reached (Connection refused)" in text
    assert "cannot be reached" in refused("http://no-such-host.invalid/x.zip", None, tmp_path)
    assert names(tmp_path) == []


def test_disk_that_refuses(server, tmp_path):
    (tmp_path / "pics.zip.partial").mkdir()
    assert "cannot be written (Is a directory)" in refused(server.address, SHA1, tmp_path)


def test_local_files_are_taken_where_they_are(tmp_path, monkeypatch):
    path = tmp_path / "bird & bee %.zip"
    path.write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    for address in (str(path), path.name, path.as_uri(), f"file://localhost{path.as_uri()[7:]}"):
        found, digest = downloads.fetch(address, SHA1, tmp_path / "downloads")
        assert found.read_bytes() == CONTENT and digest == f"sha1:{SHA1}"
    assert downloads.fetch(str(path), None, tmp_path)[1].startswith("sha256:")
    assert "0" * 40 in refused(str(path), "0" * 40, tmp_path)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(
    "address, words",
    [
        ("/no/such.zip", "does not exist"),
        ("file:///no/such.zip", "/no/such.zip does not exist"),
        ("/tmp", "is a folder"),
        ("ftp://host/x.zip", "http://, https:// or file://"),
        ("file://host/x.zip", "http://, https:// or file://"),
        ("http:///x.zip", "http://, https:// or file://"),
        ("http://[bad/x.zip", "http://[bad/x.zip"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path, address, words):
    assert words in refused(address, None, tmp_path)


@pytest.mark.parametrize("path", ["/..", "/", "/%2e%2e%2f", "/a b", "/" + "ä" * 200])
def test_odd_names_stay_in_the_folder(server, tmp_path, path):
    address = server.address.partition("/sets")[0] + path
    found, _ = downloads.fetch(address, SHA1, tmp_path)
    assert found.parent == tmp_path and found.read_bytes() == CONTENT
