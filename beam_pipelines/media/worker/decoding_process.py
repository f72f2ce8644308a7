"""Decoding in a child process, so that a film that crashes, hangs or floods the decoder costs no worker.

worker    networks <── bounded queue <── reading thread <──┐ pipe
                                                           │
child                        decoder, colours, sound ──────┘

The child decodes while the worker computes; it waits when the queue and the pipe are full. It serves many films, and
is replaced after a film that made it fail. Its pipes close when the worker ends, so it never outlives the worker.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.stage_times import PROBING, STARTING, stage
from beam_pipelines.media.audio.audio_windows import AUDIO_RATE_HZ, AudioWindow
from beam_pipelines.media.audio.channel_windows import ChannelWindow
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.text.cues import Cue
from beam_pipelines.media.text.film_text import FilmText
from beam_pipelines.media.text.subtitle_choice import Subtitles
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles
from beam_pipelines.media.video.decode_mode import EXACT, DecodeMode
from beam_pipelines.media.video.resize import FramePair
from beam_pipelines.media.video.sample_frames import SampledFrame
from beam_pipelines.media.worker.decoding_messages import EXIT_OUT_OF_MEMORY, probe_from_message, probe_to_message, send
from beam_pipelines.media.worker.started_child import PIPE_BYTES, Child, size_bytes, start_child

STEP = "decode"
TIMEOUT, OUT_OF_MEMORY, CRASHED, UNFORESEEN = "timeout", "out_of_memory", "crashed", "unforeseen_error"

_START_DEADLINE_S = 120.0
_SOUND = "sound decoding"
_STAGES = {"probe": PROBING, "plan": PROBING, "sound": _SOUND, "channels": _SOUND}
_STAGES |= {"pictures": "picture decoding", "text": "subtitles", "gpu": STARTING}
"""Task -> the stage for which its time counts (`stage_times`)."""
# A probe reads its film at most nine times (stills, three searches for sound, packets, jumps, joined clock, black bars
# twice), other tasks less. A task that reads much more is in a loop.
_MOST_READINGS = 12


class DecodingProcess:
    """Probes and decodes films in a child process, which starts when it is first needed.

    Each method raises what the function of `media` raises that it calls in the child. It also raises FilmError with
    step `decode` and reason `timeout` (no progress), `out_of_memory`, `crashed` (ended by a signal) or
    `unforeseen_error` (another exception in the child; type and message are in the detail, the trace on standard
    error). Only one thread may use it at a time.

    Args:
        deadline_s: how many seconds the child may make no progress: send no picture and no sound, and read nothing.
        memory_limit_mb: limit of the child's data, in MB.
        gpu: whether pictures are to be decoded on a GPU; `picture_decoding` asks, and unsets it if there is none.
    """

    def __init__(self, deadline_s: float = 120.0, memory_limit_mb: int = 4096, gpu: bool = False):
        self.gpu = gpu
        self._deadline_s = deadline_s
        self._memory_limit_mb = memory_limit_mb
        self._child: Child | None = None
        self._answering = False

    def __enter__(self) -> DecodingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None if no child runs."""
        return self._child.process.pid if self._child else None

    def probe(
        self, path: str | Path, limits: MediaLimits, sound_track: int | str | None = None, crop_bars: bool = False
    ) -> FilmProbe:
        """Probes a film as `media.probe.probe_film` does; with `crop_bars` it also finds the bars to cut off."""
        task = {"path": os.fspath(path), "limits": asdict(limits), "sound_track": sound_track, "crop_bars": crop_bars}
        with stage(PROBING, 1, size_bytes(os.fspath(path))):
            end = self._result({"task": "probe", **task})
        return probe_from_message(end["probe"])

    def is_planned(self, path: str | Path, probe: FilmProbe, mode: DecodeMode = EXACT) -> bool:
        """Whether there is a decode plan for the whole film, so that its parts cost no more than the whole."""
        return bool(self._result({"task": "plan", **_film(path, probe), "mode": _message(mode)})["planned"])

    def gpu_fault(self) -> str:
        """Why the child can't open a GPU (`decode_device.gpu_fault`); empty if it can. CUDA opens only in the child."""
        return str(self._result({"task": "gpu", "path": ""})["fault"])

    def pictures(
        self,
        path: str | Path,
        probe: FilmProbe,
        seconds: range,
        quality: DecodeQuality,
        limits: MediaLimits,
        mode: DecodeMode = EXACT,
        pairs: bool = False,
        gpu: bool = False,
    ) -> Iterator[SampledFrame]:
        """Yields pictures as `media.video.sample_frames.sample_frames` does; `quality` is increased at the end."""
        task = {"task": "pictures", **_film(path, probe), "start": seconds.start, "stop": seconds.stop, "pairs": pairs}
        task["gpu"] = gpu
        image: Any = None
        pair: FramePair | None = None
        for message, content in self._answers({**task, "mode": _message(mode), "limits": asdict(limits)}):
            if message["kind"] == "end":
                _add(quality, message["quality"])
                continue
            sent = np.frombuffer(content, np.uint8).reshape(message["shape"]) if content else None
            if message["kind"] == "pair" and sent is not None:
                pair = FramePair(sent[0], sent[1], message["apart_s"])
                continue
            if sent is not None:
                sent.setflags(write=False)
                image = np.moveaxis(sent, 0, -1)
            of_frame = {name: message[name] for name in ("t", "timestamp_us", "fresh", "key_gap_s")}
            yield SampledFrame(image=image, pair=pair, **of_frame)
            pair = None

    def sound(
        self,
        path: str | Path,
        probe: FilmProbe,
        seconds: range,
        quality: DecodeQuality,
        window_s: float,
        rate_hz: int = AUDIO_RATE_HZ,
    ) -> Iterator[AudioWindow]:
        """Yields windows as `media.audio.audio_windows.audio_windows` does; `quality` is increased at the end."""
        task = {"task": "sound", **_film(path, probe), "start": seconds.start, "stop": seconds.stop}
        for message, content in self._answers({**task, "window_s": window_s, "rate_hz": rate_hz}):
            if message["kind"] == "end":
                _add(quality, message["quality"])
            else:
                yield AudioWindow(message["t"], np.frombuffer(content, np.float32), message["present"])

    def text(
        self,
        path: str | Path,
        probe: FilmProbe,
        wanted: WantedSubtitles,
        beside: Sequence[Subtitles] = (),
        sidecar: str | Path | None = None,
    ) -> FilmText:
        """Reads what is said in a film as `media.text.film_text.read_film_text` does."""
        task = {"task": "text", **_film(path, probe), "wanted": asdict(wanted), "sidecar": sidecar and str(sidecar)}
        found, end = self._answers({**task, "beside": [asdict(one) for one in beside]})
        return FilmText(tuple(Cue(*row) for row in json.loads(bytes(found[1]))), end[0]["quality"])

    def channels(
        self,
        path: str | Path,
        probe: FilmProbe,
        seconds: range,
        quality: DecodeQuality,
        before_s: Fraction,
        after_s: Fraction,
    ) -> Iterator[ChannelWindow]:
        """Yields windows as `media.audio.channel_windows.channel_windows` does; `quality` is increased at the end."""
        task = {"task": "channels", **_film(path, probe), "start": seconds.start, "stop": seconds.stop}
        for message, content in self._answers({**task, "before_s": str(before_s), "after_s": str(after_s)}):
            if message.pop("kind") == "end":
                _add(quality, message["quality"])
                continue
            samples = np.frombuffer(content, np.float32).reshape(message.pop("shape"))
            yield ChannelWindow(samples=samples, **{**message, "names": tuple(message["names"])})

    def close(self) -> None:
        """Ends the child. The next call of another method starts a new one."""
        child, self._child, self._answering = self._child, None, False
        if child is None:
            return
        child.process.kill()
        # The reading thread may be waiting for space in the queue.
        while child.messages.get() is not None:
            pass
        child.process.wait()
        for pipe in (child.process.stdin, child.process.stdout):
            assert pipe is not None
            # A task that the child never read is still in the buffer.
            with suppress(BrokenPipeError):
                pipe.close()

    def _result(self, task: dict[str, Any]) -> dict[str, Any]:
        (message, _), *_rest = self._answers(task)
        return message

    def _answers(self, task: dict[str, Any]) -> Iterator[tuple[dict[str, Any], memoryview]]:
        """The messages up to and including `end`. If the caller stops early, or the child fails, the child is ended."""
        if self._answering:
            # Somebody keeps an iterator that isn't at its end: what is left of its answers would be taken for ours.
            self.close()
        child = self._child = self._child or self._start()
        self._answering, complete, at = True, False, _STAGES[task["task"]]
        try:
            self._send(child, {**task, "stage": at})
            allowed_bytes = child.bytes_read() + _MOST_READINGS * (size_bytes(task["path"]) + PIPE_BYTES)
            while not complete:
                if child is not self._child:
                    raise RuntimeError(f"{task['path']}: another task began before all answers to this one were taken")
                message = self._next(child, task["path"], self._deadline_s, allowed_bytes)
                child.count(at, message)
                if message is None:
                    raise self._ended(child, task["path"])
                if message[0]["kind"] == "unforeseen":
                    # The child ends after this.
                    raise FilmError(STEP, UNFORESEEN, f"{task['path']}: {message[0]['error']}")
                complete = message[0]["kind"] in ("end", "error")
                if message[0]["kind"] == "error":
                    raise FilmError(message[0]["step"], message[0]["reason"], message[0]["detail"])
                yield message
        finally:
            # Not if another task has begun since with a child of its own.
            if child is self._child:
                self._answering = False
                if not complete:
                    child.count(at, None)
                    self.close()

    def _start(self) -> Child:
        child = start_child(self._memory_limit_mb)
        try:
            ready = self._next(child, "", _START_DEADLINE_S, sys.maxsize)
        except FilmError:
            ready = None
        if ready is None:
            # Not a film's fault: a broken installation, or no memory for a process at all.
            child.process.kill()
            raise RuntimeError(f"the decoding process did not start: exit code {child.process.wait()}, {child.command}")
        child.count(STARTING, ready)
        return child

    def _send(self, child: Child, task: dict[str, Any]) -> None:
        assert child.process.stdin is not None
        try:
            send(child.process.stdin, task)  # type: ignore[arg-type]
        except BrokenPipeError:
            # The child ended between two films; the reading thread finds out how.
            return

    def _next(
        self, child: Child, path: str, deadline_s: float, allowed_bytes: int
    ) -> tuple[dict[str, Any], memoryview] | None:
        since_s, seen_bytes = time.monotonic(), child.bytes_read()
        while True:
            try:
                return child.messages.get(timeout=min(1.0, deadline_s / 4))
            except queue.Empty:
                now_bytes = child.bytes_read()
                if seen_bytes < now_bytes < allowed_bytes:
                    since_s, seen_bytes = time.monotonic(), now_bytes
                if time.monotonic() - since_s > deadline_s:
                    detail = f"{path}: the decoder made no progress for decode_deadline_s = {deadline_s:g} s"
                    raise FilmError(STEP, TIMEOUT, detail) from None

    def _ended(self, child: Child, path: str) -> FilmError:
        code = child.process.wait()
        # close() waits for this end mark.
        child.messages.put(None)
        if code == EXIT_OUT_OF_MEMORY:
            limit = f"limits.decoder_memory_mb = {self._memory_limit_mb}"
            return FilmError(STEP, OUT_OF_MEMORY, f"{path}: decoding needs more memory than {limit}")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return FilmError(STEP, CRASHED, f"{path}: the decoding process ended with {how}")


def _film(path: str | Path, probe: FilmProbe) -> dict[str, Any]:
    return {"path": os.fspath(path), "probe": probe_to_message(probe)}


def _message(mode: DecodeMode) -> tuple[str, str]:
    return mode.name, str(mode.age_s)


def _add(quality: DecodeQuality, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        setattr(quality, name, getattr(quality, name) + count)
