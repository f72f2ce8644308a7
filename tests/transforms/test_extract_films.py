"""What a worker of extraction takes over from the process that starts the job."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.utils.shared import Shared

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.extractors.weights.weights_table import Weights
from beam_pipelines.foundation.errors import WeightsError
from beam_pipelines.transforms import extract_films

CONTENT = b"weights"
TABLE = {"net": Weights("net", "net.bin", None, "CC0", "nothing", "tests", sha256=hashlib.sha256(CONTENT).hexdigest())}


def test_a_worker_hashes_weights_again_only_if_they_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashed, file_digest = tmp_path / "net.bin", [], hashlib.file_digest

    def counted(stream: Any, algorithm: str) -> Any:
        hashed.append(stream.name)
        return file_digest(stream, algorithm)

    monkeypatch.setenv(weight_files.DIRECTORY_VARIABLE, str(tmp_path))
    monkeypatch.setattr(hashlib, "file_digest", counted)
    monkeypatch.setattr(weight_files, "DIGESTS", {})
    monkeypatch.setattr(extract_films, "DIGESTS", weight_files.DIGESTS)
    path.write_bytes(CONTENT)
    weight_files.locate("net", TABLE)
    config = ExtractConfig(modalities=("sound_signals",))
    sent = pickler.dumps(extract_films._ExtractFilm(extract_films.ExtractFilms(config, str(tmp_path)), Shared()))
    weight_files.DIGESTS.clear()
    worker = pickler.loads(sent)
    worker.setup()
    worker.teardown()
    assert weight_files.locate("net", TABLE) == path
    assert hashed == [str(path)]
    # Another content of the same size and time, as a copy may have it.
    modified_ns = path.stat().st_mtime_ns
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(modified_ns, modified_ns))
    with pytest.raises(WeightsError, match="not the published"):
        weight_files.locate("net", TABLE)
