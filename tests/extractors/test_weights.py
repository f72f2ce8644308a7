"""The cache of weights, against a real HTTP server on loopback."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.weight_files import TABLE, Weights
from beam_pipelines.foundation.errors import ConfigurationError, WeightsError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`; what it does is chosen by the path."""

    requests: list[str]
    content: bytes


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        content = self.server.content
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path == "/cut" else content)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test output readable."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.requests, server.content = [], CONTENT
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv(weights.DIRECTORY_VARIABLE, str(directory))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return directory


def entry(server: Server | None, path: str = "/good", **fields: object) -> dict[str, Weights]:
    url = None if server is None else f"http://127.0.0.1:{server.server_port}{path}"
    row = Weights("net", "net.bin", url, licence="CC0", trained_on="nothing", used_by="tests", **fields)  # type: ignore[arg-type]
    return {"net": row}


@pytest.mark.parametrize("published", [{"sha256": SHA256}, {"md5": MD5}])
def test_fetch_then_locate_then_no_second_download(server: Server, cache: Path, published: dict[str, str]) -> None:
    table = entry(server, **published)
    path = weights.fetch("net", table)
    assert path == cache / "net.bin"
    assert path.read_bytes() == CONTENT
    assert weights.locate("net", table) == path
    assert weights.digest("net", table) == SHA256
    assert weights.fetch("net", table) == path
    assert server.requests == ["/good"]


def test_a_transfer_that_is_cut_off_leaves_nothing(server: Server, cache: Path) -> None:
    table = entry(server, "/cut", sha256=SHA256)
    with pytest.raises(WeightsError, match=r"(?s)net\.bin.*127\.0\.0\.1"):
        weights.fetch("net", table)
    assert list(cache.iterdir()) == []


def test_wrong_bytes_leave_nothing(server: Server, cache: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(WeightsError, match=SHA256):
        weights.fetch("net", entry(server, sha256=SHA256))
    assert list(cache.iterdir()) == []


def test_an_address_that_answers_404_and_one_that_is_closed(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match="404"):
        weights.fetch("net", entry(server, "/absent", sha256=SHA256))
    closed = Weights("net", "net.bin", "http://127.0.0.1:9/net.bin", "CC0", "nothing", "tests", sha256=SHA256)
    with pytest.raises(WeightsError, match=r"could not be fetched: no connection to 127\.0\.0\.1 \(\w+\)\n  file:"):
        weights.fetch("net", {"net": closed})


def test_a_file_that_the_user_put_there_stays_and_may_be_named(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "net.bin").write_bytes(b"fine-tuned")
    table = entry(server, sha256=SHA256)
    for use in (weights.fetch, weights.locate):
        with pytest.raises(WeightsError, match=rf"extract\.tests\.weights: {cache / 'net.bin'}") as caught:
            use("net", table)
        assert "remove" not in str(caught.value)
    assert (cache / "net.bin").read_bytes() == b"fine-tuned"
    assert server.requests == []


def test_weights_of_ones_own_are_named_by_their_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    (cache / "mine.h5").write_bytes(CONTENT)
    monkeypatch.chdir(cache.parent)
    for name in (str(cache / "mine.h5"), "mine.h5", "cache/mine.h5"):
        assert weights.locate(name) == cache / "mine.h5"
        assert weights.identity(name) == SHA256
    with pytest.raises(WeightsError, match=rf"there is no file {cache.parent / 'other.h5'} or {cache / 'other.h5'}"):
        weights.locate("other.h5")
    with pytest.raises(WeightsError, match=r"a file of yours is known by its name's end \(\.h5"):
        weights.locate("other")


def test_a_cache_filled_by_hand(cache: Path) -> None:
    cache.mkdir()
    (cache / "net.bin").write_bytes(CONTENT)
    published = entry(None, sha256=SHA256)
    assert weights.locate("net", published) == cache / "net.bin"
    assert weights.fetch("net", published) == cache / "net.bin"


def test_a_file_that_changes_after_it_was_checked_is_found_out(cache: Path) -> None:
    cache.mkdir()
    path = cache / "net.bin"
    path.write_bytes(CONTENT)
    table = entry(None, sha256=SHA256)
    weights.locate("net", table)
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match="sha256"):
        weights.locate("net", table)


@pytest.mark.parametrize("name", list(TABLE))
def test_absent_weights_name_file_address_hash_and_directory(cache: Path, name: str) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.locate(name)
    row, text = TABLE[name], str(caught.value)
    for part in (row.file_name, row.url or "published nowhere", row.published_hash[1], str(cache)):
        assert part in text
    assert (f"cineaffect weights fetch {name}" in text) == (row.url is not None)
    assert not cache.exists()


def test_an_unknown_name_names_the_known_ones(cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="inception_v3_imagenet"):
        weights.locate("inception")


def test_the_table_is_complete() -> None:
    for name, row in TABLE.items():
        assert name == row.name
        assert row.licence
        assert row.trained_on
        assert row.url is None or row.url.startswith("https://")
        algorithm, digest = row.published_hash
        assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
    assert len({row.file_name for row in TABLE.values()}) == len(TABLE)


def test_identity_of_untrained_weights_names_the_seed() -> None:
    assert weights.identity("untrained", 3) == "untrained-seed-3"
