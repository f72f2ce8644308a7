"""openSMILE's INTERSPEECH 2010 set, with the real package in its process of its own, TensorFlow loaded in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import util

import numpy as np
import pytest
import tensorflow  # noqa: F401 - openSMILE crashes in a process that holds it, so it is here on purpose

from beam_pipelines.extractors.networks import opensmile_is10
from beam_pipelines.extractors.networks.opensmile_is10 import WINDOW_SAMPLES, OpenSmileIS10
from beam_pipelines.foundation.errors import ConfigurationError, FilmError

needs_opensmile = pytest.mark.skipif(util.find_spec("opensmile") is None, reason="needs the extra opensmile")


def three_windows() -> np.ndarray:
    time_s = np.arange(WINDOW_SAMPLES) / 16_000
    noise = np.random.default_rng(1).normal(0, 0.1, WINDOW_SAMPLES)
    return np.stack([np.sin(2 * np.pi * 220 * time_s), noise, 0 * time_s]).astype(np.float32)


@pytest.fixture
def smile():
    smile = OpenSmileIS10()
    yield smile
    smile.close()


@needs_opensmile
def test_the_set_is_that_of_interspeech_2010():
    code = "import opensmile as o; print(*o.Smile(o.FeatureSet.IS10, o.FeatureLevel.Functionals).feature_names)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert len(set(names)) == 1582
    # What IS10 has and emobase2010's published list has in other order and other functionals.
    assert names[0] == "pcm_loudness_sma_maxPos"
    assert names[-2:] == ["F0final__Turn_numOnsets", "F0final__Turn_duration"]


@needs_opensmile
def test_a_window_has_the_same_bits_whatever_came_before(smile):
    windows = three_windows()
    together = smile(windows)
    assert together.shape == (3, 1582)
    assert np.isfinite(together).all()
    for t in (2, 1, 0):
        np.testing.assert_array_equal(smile(windows[t : t + 1])[0], together[t])
    again = OpenSmileIS10()
    np.testing.assert_array_equal(again(windows[::-1])[::-1], together)
    again.close()
    assert not np.array_equal(together[0], together[1])


@needs_opensmile
def test_the_values_are_the_package_s_own(smile, tmp_path):
    window = three_windows()[1]
    np.save(tmp_path / "window.npy", window)
    code = (
        "import sys, numpy as np, opensmile as o; s = o.Smile(o.FeatureSet.IS10, o.FeatureLevel.Functionals); "
        "np.save(sys.argv[2], s.process_signal(np.load(sys.argv[1]), 16000).to_numpy())"
    )
    paths = [str(tmp_path / name) for name in ("window.npy", "values.npy")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    np.testing.assert_array_equal(smile(window[None]), np.load(paths[1]))


@needs_opensmile
def test_full_scale_does_not_wrap_round(smile):
    square = np.where(np.arange(WINDOW_SAMPLES) // 40 % 2, 1.0, -1.0).astype(np.float32)
    near = np.clip(square, -1.0, 32767 / 32768).astype(np.float32)
    np.testing.assert_array_equal(smile(square[None]), smile(near[None]))
    assert not np.array_equal(smile(square[None]), smile(np.full_like(square, -1.0)[None]))


@needs_opensmile
def test_a_crash_is_the_film_s_fault_and_the_next_film_is_done(smile):
    windows = three_windows()
    before = smile(windows)
    os.kill(smile._child.pid, signal.SIGSEGV)
    with pytest.raises(FilmError, match=r"crashed: its process ended with code -11"):
        smile(windows)
    np.testing.assert_array_equal(smile(windows), before)


@needs_opensmile
def test_a_child_that_hangs_is_ended():
    smile = OpenSmileIS10(deadline_s=30.0)
    windows = three_windows()[1:2]
    before = smile(windows)
    hung = smile._child
    os.kill(hung.pid, signal.SIGSTOP)
    smile._deadline_s = 0.2
    with pytest.raises(FilmError, match=r"timeout: no answer within 0\.2 s"):
        smile(windows)
    assert hung.poll() is not None
    smile._deadline_s = 30.0
    np.testing.assert_array_equal(smile(windows), before)
    smile.close()


def test_without_the_package_the_error_says_how_and_under_which_licence(monkeypatch):
    monkeypatch.setattr(opensmile_is10.util, "find_spec", lambda name: None)
    for use in (OpenSmileIS10, OpenSmileIS10.describe):
        with pytest.raises(ConfigurationError, match=r"cineaffect\[opensmile\].*no use in products"):
            use()
