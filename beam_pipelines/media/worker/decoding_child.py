"""The process that decodes for a worker: `python -m beam_pipelines.media.worker.decoding_child MEMORY_LIMIT_MB`.

Tasks arrive on standard input, pictures and sound leave on standard output, both as `decoding_messages`. The process
ends when standard input is closed, as happens however the worker ends. It imports no Beam and no TensorFlow.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.stage_times import STARTING, count_times
from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.audio.channel_windows import channel_windows
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.decode_device import gpu_fault
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.text.film_text import read_film_text
from beam_pipelines.media.text.subtitle_choice import Subtitles
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles
from beam_pipelines.media.video.black_bars import find_bars
from beam_pipelines.media.video.decode_mode import DecodeMode
from beam_pipelines.media.video.decode_plan import make_plan
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.decoding_messages import (
    EXIT_OUT_OF_MEMORY,
    probe_from_message,
    probe_to_message,
    receive,
    send,
)
from beam_pipelines.media.worker.kept_memory import keep_freed_memory

_LONGEST_ERROR = 500


def main() -> int:
    """Answers tasks one by one and returns the exit code. An error that isn't a film's ends it, after a report."""
    # Output of a native library must not mix with the messages.
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    # Control-C in a terminal reaches all its processes; the worker decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(int(sys.argv[1]))
    keep_freed_memory()
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(sys.stdin.buffer, tasks), daemon=True).start()
    sys.excepthook = partial(_report, answers)
    send(answers, {"kind": "ready", "times": {STARTING: (1, 0, 1000 * time.process_time())}})
    while True:
        task = tasks.get()
        try:
            with count_times(task["stage"]) as times:
                end = _end_of(task, answers)
            send(answers, {**end, "times": times})
        except MemoryError:
            return EXIT_OUT_OF_MEMORY
        except BrokenPipeError:
            return 0


def _end_of(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    """Works on a task; returns the last message about it."""
    try:
        return {"kind": "end", **_TASKS[task["task"]](task, answers)}
    except FilmError as error:
        return {"kind": "error", "step": error.step, "reason": error.reason, "detail": error.detail}


def _report(answers: BinaryIO, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Reports an unforeseen error, which ends this process: the worker gets type and message, the log the trace."""
    sys.__excepthook__(kind, error, trace)
    # The pipe may be closed already: then nobody reads the report.
    with suppress(BrokenPipeError):
        send(answers, {"kind": "unforeseen", "error": f"{kind.__name__}: {error}"[:_LONGEST_ERROR]})


def _limit_memory(limit_mb: int) -> None:
    import resource

    # The limit is on data, not on addresses, because a film can't help what libraries map.
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))


def _read_tasks(source: BinaryIO, tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    while message := receive(source):
        tasks.put(message[0])
    # Ends in the middle of a task too: nobody waits for its result.
    os._exit(0)


def _probe(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    limits = MediaLimits(**task["limits"])
    probe = probe_film(task["path"], limits, task["sound_track"])
    if task["crop_bars"]:
        probe = replace(probe, shape=replace(probe.shape, bars=find_bars(task["path"], probe, limits)))
    return {"probe": probe_to_message(probe)}


def _plan(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    probe = probe_from_message(task["probe"])
    return {"planned": make_plan(task["path"], probe, range(probe.seconds), _mode(task)) is not None}


def _gpu(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    return {"fault": gpu_fault()}


def _pictures(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    quality, shown = DecodeQuality(), None
    frames = sample_frames(
        task["path"],
        probe_from_message(task["probe"]),
        start=task["start"],
        stop=task["stop"],
        quality=quality,
        limits=MediaLimits(**task["limits"]),
        mode=_mode(task),
        pairs=task["pairs"],
        gpu=task["gpu"],
    )
    for frame in frames:
        if frame.pair is not None:
            pair = np.stack([frame.pair.first, frame.pair.second])
            send(answers, {"kind": "pair", "apart_s": frame.pair.apart_s, "shape": pair.shape}, pair)
        # Seconds may share a picture; it is sent once.
        is_new, shown = frame.image is not shown, frame.image
        channels = np.moveaxis(frame.image, -1, 0)
        message = {"t": frame.t, "timestamp_us": frame.timestamp_us, "fresh": frame.fresh, "shape": channels.shape}
        message["key_gap_s"] = frame.key_gap_s
        send(answers, {"kind": "picture", **message}, np.ascontiguousarray(channels) if is_new else b"")
    return {"quality": vars(quality)}


def _sound(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    quality = DecodeQuality()
    probe = probe_from_message(task["probe"])
    wanted = {name: task[name] for name in ("start", "stop", "window_s", "rate_hz")}
    for window in audio_windows(task["path"], probe, **wanted, quality=quality):
        send(answers, {"kind": "sound", "t": window.t, "present": window.present}, window.samples)
    return {"quality": vars(quality)}


def _text(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    text = read_film_text(
        task["path"],
        probe_from_message(task["probe"]),
        WantedSubtitles(**task["wanted"]),
        [Subtitles(**one) for one in task["beside"]],
        task["sidecar"],
    )
    rows = [(cue.start_us, cue.end_us, cue.text) for cue in text.cues]
    send(answers, {"kind": "text"}, json.dumps(rows).encode())
    return {"quality": text.quality}


def _channels(task: Mapping[str, Any], answers: BinaryIO) -> dict[str, Any]:
    quality = DecodeQuality()
    probe = probe_from_message(task["probe"])
    windows = channel_windows(
        task["path"],
        probe,
        before_s=Fraction(task["before_s"]),
        after_s=Fraction(task["after_s"]),
        start=task["start"],
        stop=task["stop"],
        quality=quality,
    )
    for window in windows:
        message = {"t": window.t, "present": window.present, "rate_hz": window.rate_hz, "names": window.names}
        send(answers, {"kind": "channels", **message, "shape": window.samples.shape}, window.samples)
    return {"quality": vars(quality)}


def _mode(task: Mapping[str, Any]) -> DecodeMode:
    name, age_s = task["mode"]
    return DecodeMode(name, Fraction(age_s))


_TASKS = {
    "probe": _probe,
    "plan": _plan,
    "gpu": _gpu,
    "pictures": _pictures,
    "sound": _sound,
    "channels": _channels,
    "text": _text,
}


if __name__ == "__main__":
    # Skips the interpreter's own shutdown, which would wait for the reading thread.
    os._exit(main())
