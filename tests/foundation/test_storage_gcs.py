"""Buckets when things go wrong: pages, faults on the line, cut-off writes, absent credentials, forks, a full disk.

The storage is a real emulator process; a TCP proxy in front of it does the harm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import DiskFullError, StorageError
from beam_pipelines.foundation.storage.object_storage import PAGE_OBJECTS
from tests.support.faulty_proxy import UNAVAILABLE, Fault, FaultyProxy, running_proxy
from tests.support.gcs_emulator import GcsEmulator, running_emulator

OBJECTS = 2 * PAGE_OBJECTS + 100
LONG = bytes(range(251)) * 12_000  # 3 MB
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[tuple[FaultyProxy, GcsEmulator]]:
    """An emulator with many objects behind a proxy; this project knows only the proxy's address."""
    data = tmp_path_factory.mktemp("data")
    (data / "many" / "folder").mkdir(parents=True)
    (data / "films").mkdir()
    for number in range(OBJECTS):
        (data / "many" / "folder" / f"{number:06d}").touch()
    with (
        running_proxy() as proxy,
        running_emulator(external_url=proxy.url, data=data) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        proxy.server_port = int(emulator.url.rsplit(":", 1)[1])
        patch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        yield proxy, emulator


@pytest.fixture
def proxy(line) -> FaultyProxy:
    return line[0]


@pytest.fixture
def emulator(line) -> GcsEmulator:
    return line[1]


def test_a_listing_goes_through_all_pages(emulator):
    first_page_url = f"{emulator.url}/storage/v1/b/many/o?maxResults={PAGE_OBJECTS}"
    with urllib.request.urlopen(first_page_url, timeout=60) as answer:
        page = json.load(answer)
    assert (len(page["items"]), bool(page["nextPageToken"])) == (PAGE_OBJECTS, True)
    listed = [info.uri for info in storage.list_files("gs://many/folder")]
    assert listed == [f"gs://many/folder/{number:06d}" for number in range(OBJECTS)]
    assert len(storage.list_files("gs://many/**/*9")) == OBJECTS // 10


OPERATIONS: dict[str, Callable[[], object]] = {
    "stat": lambda: storage.stat("gs://films/a"),
    "list": lambda: [info.uri for info in storage.list_files("gs://films")],
    "read": lambda: storage.read_bytes("gs://films/a"),
    "write": lambda: storage.write_bytes("gs://films/a", LONG),
    "remove": lambda: storage.remove("gs://films/a"),
}
IN_THE_HEADERS = Fault(cut_answer_after_bytes=40)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "fault", [UNAVAILABLE, Fault(cut_answer_after_bytes=1), IN_THE_HEADERS], ids=["503", "dropped", "in_its_headers"]
)
def test_an_operation_is_repeated_after_a_fault(proxy, emulator, operation, fault):
    storage.write_bytes("gs://films/a", LONG)
    undisturbed = OPERATIONS[operation]()
    storage.write_bytes("gs://films/a", LONG)
    if operation == "stat":
        undisturbed = storage.stat("gs://films/a")
    proxy.harm(fault)
    assert OPERATIONS[operation]() == undisturbed
    assert proxy.struck == 1
    assert ("a" in emulator.object_names("films")) == (operation != "remove")
    storage.remove("gs://films/a")


def test_a_download_goes_on_where_it_was_cut_off(proxy):
    storage.write_bytes("gs://films/long", LONG)
    proxy.harm(Fault(cut_answer_after_bytes=1_000_000), UNAVAILABLE, Fault(cut_answer_after_bytes=500_000))
    with storage.local_copy("gs://films/long") as path:
        assert path.read_bytes() == LONG
    assert proxy.struck == 3


@pytest.mark.parametrize("pieces", [1, 8], ids=["one_request", "resumable"])
def test_an_upload_that_was_cut_off_is_done_again(proxy, emulator, tmp_path, pieces):
    # A resumable upload is a short request and then the long ones, here each on a connection of its own.
    proxy.harm(Fault(cut_request_after_bytes=1_000_000), Fault(cut_request_after_bytes=1_000_000))
    with storage.whole_file("gs://films/new") as path:
        path.write_bytes(LONG * pieces)
    assert proxy.struck >= 1
    assert storage.read_bytes("gs://films/new") == LONG * pieces
    storage.remove("gs://films/new")


UPLOAD = """
import sys
from beam_pipelines.foundation import storage
with storage.whole_file(sys.argv[1]) as path:
    path.write_bytes(b"second" * int(sys.argv[2]))
"""


@pytest.mark.parametrize("size", [500_000, 4_000_000], ids=["one_request", "resumable"])
@pytest.mark.parametrize("before", [None, b"first"])
def test_a_writer_killed_in_the_middle_leaves_what_was_there(proxy, emulator, size, before):
    uri = "gs://films/record"
    if before is not None:
        storage.write_bytes(uri, before)
    proxy.harm(*[Fault(stall_request_after_bytes=1_000_000)] * 3)
    writer = subprocess.Popen([sys.executable, "-c", UPLOAD, uri, str(size)], cwd=ROOT)
    assert proxy.stalled.wait(30)
    writer.kill()
    writer.wait(10)
    proxy.harm()
    assert ("record" in emulator.object_names("films")) == (before is not None)
    if before is not None:
        assert storage.read_bytes(uri) == before
    storage.remove(uri)


@pytest.mark.parametrize(
    ("status", "text"), [(401, "credentials.*gcloud auth"), (403, r"no right to do this.*roles/storage\.objectViewer")]
)
def test_a_right_that_lacks_is_named(proxy, status, text):
    refusal = b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    for operation in OPERATIONS.values():
        proxy.harm(Fault(answer=refusal))
        with pytest.raises(StorageError, match=f"gs://films.*{text}"):
            operation()


def test_an_answer_that_makes_no_sense_is_a_clear_error(proxy):
    proxy.harm(Fault(answer=b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    with pytest.raises(StorageError, match=r"gs://films/a: the storage gives no usable answer \(418"):
        storage.stat("gs://films/a")


def test_an_absent_bucket_is_named(line):
    for operation in (
        lambda: storage.list_files("gs://absent/films"),
        lambda: storage.list_files("gs://absent/*.mp4"),
        lambda: storage.check_reachable("gs://absent/features"),
        lambda: storage.write_text("gs://absent/features/a", "text"),
        lambda: storage.write_bytes("gs://absent/features/a", LONG),
    ):
        with pytest.raises(StorageError, match="there is no bucket absent; correct the name, or make it"):
            operation()
    with pytest.raises(StorageError, match="no bucket absent"), storage.whole_file("gs://absent/a") as path:
        path.write_bytes(b"content")
    with pytest.raises(FileNotFoundError, match="gs://absent/a"):
        storage.read_bytes("gs://absent/a")
    assert storage.stat("gs://absent/a") is None
    storage.check_reachable("gs://films/not/yet")
    storage.check_reachable("a/local/folder")


@pytest.fixture
def no_credentials(monkeypatch, tmp_path) -> None:
    """Google's own servers are meant, and nothing says as whom; no machine of Google's is looked for."""
    for variable in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_absent_credentials_are_a_clear_error(no_credentials, operation):
    with pytest.raises(StorageError, match=r"gs://films.*no Google Cloud credentials.*gcloud auth application-default"):
        OPERATIONS[operation]()


def test_credentials_that_cannot_be_read_are_named(no_credentials, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(StorageError, match=r"key\.json was not found"):
        storage.list_files("gs://films")


FORKS = """
import os, sys
from beam_pipelines.foundation import storage
for number in range(4):
    storage.write_bytes(f"gs://films/own-{number}", str(number).encode() * 1000)
    storage.read_bytes(f"gs://films/own-{number}")  # leaves an open connection behind
gate, open_gate = os.pipe()
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        os.close(open_gate)
        os.read(gate, 1)
        for _ in range(50):
            if storage.read_bytes(f"gs://films/own-{number}") != str(number).encode() * 1000:
                os._exit(1)
        os._exit(0)
    children.append(child)
os.close(open_gate)
sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children))
"""


def test_forked_processes_talk_on_connections_of_their_own(line):
    done = subprocess.run(
        [sys.executable, "-c", FORKS], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


ON_A_SMALL_DISK = """
import resource, sys
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import DiskFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    if sys.argv[1] == "copy":
        with storage.local_copy(sys.argv[2]):
            sys.exit("was copied")
    storage.write_bytes(sys.argv[2], bytes(2_000_000))
except DiskFullError as error:
    print(error)
"""


@pytest.mark.parametrize("action", ["copy", "write"])
def test_a_full_disk_is_named_and_nothing_stays_on_it(line, tmp_path, action):
    storage.write_bytes("gs://films/long", LONG)
    uri = "gs://films/long" if action == "copy" else str(tmp_path / "long")
    done = subprocess.run(
        [sys.executable, "-c", ON_A_SMALL_DISK, action, uri],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f"{uri}: no room for it in {tmp_path} (File too large); free some")
    assert list(tmp_path.iterdir()) == []
    assert issubclass(DiskFullError, StorageError)


def test_no_object_is_copied_out_of_its_folder(line, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for uri in ("gs://films/model/../outside", f"gs://films/model/{tmp_path}/outside"):
        storage.write_text(uri, "text")
        with pytest.raises(StorageError, match="leads out of its folder"), storage.local_tree("gs://films/model"):
            pass
        assert list(tmp_path.iterdir()) == []
        storage.remove(uri)
