"""The command that measures a GPU: its arithmetic, and as a trial all of it on a machine without one."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_end_to_end
from benchmarks.gpu_share import GpuShare, means_of
from tests.support.synthetic_clips import Sound, regular_times, write_clip


def test_samples_of_nvidia_smi_become_means_and_what_is_no_number_is_left_out() -> None:
    found = means_of("80, 20, 4000\n60, [N/A], 5000\nNVIDIA-SMI has failed\n")
    assert found == {"utilization.gpu": 70.0, "utilization.decoder": 20.0, "memory.used": 4500.0}
    assert means_of("") == {}


def test_without_nvidias_program_there_is_no_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with GpuShare() as share:
        pass
    assert share.means == {}


def test_what_no_gpu_did_is_not_called_the_same() -> None:
    taken, not_taken = {"on": "gpu", "why_not": ""}, {"on": "processor: codec vp9", "why_not": "codec vp9"}
    assert gpu_end_to_end.decoded_on_gpu([taken, not_taken])
    assert not gpu_end_to_end.decoded_on_gpu([taken, {"on": "processor: no GPU took it, see the log", "why_not": ""}])
    assert not gpu_end_to_end.decoded_on_gpu([not_taken])
    busy, idle = {"utilization.gpu": 12.0}, {"utilization.gpu": 0.0}
    assert gpu_end_to_end.was_at_work("networks", {"gpu": busy, "decoded_on": {}})
    assert not gpu_end_to_end.was_at_work("networks", {"gpu": idle, "decoded_on": {}})
    decoding = "networks, faces and decoding"
    assert gpu_end_to_end.was_at_work(decoding, {"gpu": busy, "decoded_on": {"gpu": 7}})
    assert not gpu_end_to_end.was_at_work(decoding, {"gpu": busy, "decoded_on": {"processor: codec vp9": 7}})


@pytest.mark.slow
def test_the_whole_command_as_a_trial_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow, for the jobs and processes that it starts."""
    sound = Sound([(Fraction(0), np.sin(np.arange(48_000 * 6) / 20).astype(np.float32)[None])], codec="aac")
    film = write_clip(tmp_path / "film.mp4", regular_times(150, 25), sound=sound)
    sizes = ["--steps=2", "--train-film-s=60", "--batch=8", "--units=4", "--score-films=2", "--seconds=6"]
    chosen = ["--films", str(film), "--modalities", "audio", "--arms", "float32", "mixed_bfloat16"]
    output = tmp_path / "gpu.json"
    assert gpu_end_to_end.main(["--device=cpu", f"--output={output}", *sizes, *chosen]) == 0
    printed = capsys.readouterr().out
    assert "all promises hold" in printed
    found = json.loads(output.read_text())
    (decoded,) = found["decoding"]
    assert (decoded["same"], decoded["on"]) == (True, "processor")
    assert "FFmpeg can't open CUDA" in decoded["fault"]
    assert [row["off"] for row in found["extract"]] == [0.0, 0.0]
    assert all(row["film_s_a_s"] > 0 for row in found["extract"])
    assert [row["arm"] for row in found["training"]] == ["float32", "mixed_bfloat16"]
    assert len(found["training"][0]["losses"]) == 4
    assert found["training"][0]["off"] == 0.0 < found["training"][1]["off"]
    assert found["scoring"]["film_s"] == 120
