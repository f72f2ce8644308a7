"""Peak memory of a worker for a long film against a short one.

    python -m benchmarks.memory --modalities image audio face    # all networks, 10 minutes and 2 hours: long
    python -m benchmarks.memory --modalities image audio face --minutes 10 60 --lines 160      # about 10 core minutes
    python -m benchmarks.memory                                  # the sound of 10 minutes and of 2 hours
    python -m benchmarks.memory --modalities none                # no network: probe, all pictures and all sound
    python -m benchmarks.memory --film a.mp4 b.mp4               # your own films, the shorter one first

Each film is extracted in its own process with untrained networks (of the same size as the published ones). "loaded" is
the peak with all networks built and run on one batch of the usual size, before the film is opened. The generated films
have `--lines` (4:3) at 2 frames per second, with a tone: memory that grows with a film's length would show here as with
any other film. The command exits with 1 if worker and decoding process together take more than 1.1 times as much for
the long film as for the short one, or 1 GiB more than the networks alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 2
# A minute at this rate is a whole number of AAC's frames.
SOUND_HZ, FRAME_SAMPLES = 32_000, 1024
AAC_DELAY_S = Fraction(FRAME_SAMPLES, SOUND_HZ)
MAX_RATIO, MAX_ABOVE_NETWORKS_MIB = 1.1, 1024.0
MODALITIES = ("image", "audio", "face")


def make_film(path: Path, minutes: int, lines: int) -> Path:
    """A film of so many minutes, or the one from an earlier run: one minute is encoded, and its packets repeated."""
    import av

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    minute, unfinished = encode_minute(path.with_suffix(".minute.mp4"), lines), path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as container:
        with av.open(str(minute)) as source:
            copies = [container.add_stream_from_template(stream) for stream in source.streams]
        for number in range(minutes):
            with av.open(str(minute)) as source:
                for packet in source.demux():
                    # The sound begins a packet early, for the encoder's delay; there the minute before ends.
                    if packet.size and packet.pts * packet.time_base < 60 - AAC_DELAY_S * 3 / 2:
                        offset = round(60 * number / packet.time_base)
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        packet.stream = copies[packet.stream.index]
                        container.mux(packet)
    minute.unlink()
    unfinished.rename(path)
    return path


def encode_minute(path: Path, lines: int) -> Path:
    """Pictures of coarse noise that change every 3.5 s, and a tone."""
    import av

    tone = (0.3 * np.sin(2 * np.pi * 440 / SOUND_HZ * np.arange(60 * SOUND_HZ))).astype(np.float32)
    blocks = np.random.default_rng(1).integers(0, 256, (4, lines // 4, lines // 3, 3), dtype=np.uint8)
    textures = blocks.repeat(4, axis=1).repeat(4, axis=2)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=RATE_HZ, options={"preset": "ultrafast", "g": "20"})
        video.width, video.height, video.pix_fmt = lines // 3 * 4, lines // 4 * 4, "yuv420p"
        audio: Any = container.add_stream("aac", rate=SOUND_HZ, layout="mono")
        for number in range(60 * RATE_HZ):
            picture = av.VideoFrame.from_ndarray(textures[number // 7 % 4], format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE_HZ)
            container.mux(video.encode(picture))
        for begin in range(0, len(tone), FRAME_SAMPLES):
            sound = av.AudioFrame.from_ndarray(tone[None, begin : begin + FRAME_SAMPLES], "fltp", "mono")
            sound.sample_rate, sound.pts = SOUND_HZ, begin
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def peak_mib(pid: int | None = None) -> float:
    """Peak resident size so far, of a process or of this one.

    Not from `getrusage`: to that a process that has just been started is as large as the one it was started from.
    """
    text = Path(f"/proc/{pid or 'self'}/status").read_text()
    return int(text.split("VmHWM:", 1)[1].split(None, 1)[0]) / 1024


def extract(path: str, modalities: list[str]) -> dict[str, float]:
    """Extracts a film in this process, decoded in a child as a worker does it; peaks in MiB.

    Returns:
        `loaded` and `peak` of this process, `decoder`: peak of the child, `seconds` of the film.
    """
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
    from beam_pipelines.extractors.tracks import extract_tracks
    from beam_pipelines.media.decode import DecodeQuality
    from beam_pipelines.media.probe import MediaLimits
    from beam_pipelines.media.worker.decoding_process import DecodingProcess

    untrained = {modality: {"weights": "untrained"} for modality in MODALITIES}
    config = ExtractConfig.model_validate({"modalities": modalities or MODALITIES, **untrained})
    networks, limits, quality = Networks(config), MediaLimits(), DecodeQuality()
    run_once(networks, modalities)
    loaded = peak_mib()
    with DecodingProcess() as decoder:
        probe = decoder.probe(path, limits)
        if modalities:
            part = extract_tracks(path, probe, networks, describe_tracks(config), limits, decoder)
            read = {len(track.values) for track in part.tracks.values()}
        else:
            seconds = range(probe.seconds)
            read = {sum(1 for _ in decoder.pictures(path, probe, seconds, quality, limits))}
            read.add(sum(1 for _ in decoder.sound(path, probe, seconds, quality, config.audio.window_s)))
        peaks = {"peak": peak_mib(), "decoder": peak_mib(decoder.pid)}
    if read != {probe.seconds}:
        raise ValueError(f"{path}: {read} seconds were read of {probe.seconds}")
    return {"loaded": loaded, **peaks, "seconds": probe.seconds}


def run_once(networks: Any, modalities: list[str]) -> None:
    """Builds the networks and runs each on a batch."""
    config = networks.config
    if "image" in modalities:
        networks.network("image")(np.zeros((networks.batch_size("image"), 299, 299, 3), np.uint8))
    if "audio" in modalities:
        networks.network("audio")(np.zeros((networks.batch_size("audio"), 15_360), np.float32))
    if "face" in modalities:
        lines = config.face.detect_height_px
        networks.detector(np.zeros((config.face.detector_batch_size, lines, lines * 4 // 3, 3), np.uint8))
        networks.network("face")(np.zeros((networks.batch_size("face"), 160, 160, 3), np.uint8))


def measured(path: Path, modalities: list[str]) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", str(path), *modalities]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> int:
    """The command; gives 1 where memory grows with the film."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("--modalities", nargs="+", choices=(*MODALITIES, "none"), default=["audio"])
    parser.add_argument("--film", nargs=2, type=Path, help="two films of your own, the shorter one first")
    parser.add_argument("--minutes", nargs=2, type=int, default=[10, 120], help="lengths of the made films")
    parser.add_argument("--lines", type=int, default=48, help="lines of the made films, at least 48")
    parser.add_argument("--clips", type=Path, default=Path("benchmark-clips"), help="where made films are kept")
    parser.add_argument("--one", nargs="+", metavar=("FILM", "MODALITY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(extract(arguments.one[0], arguments.one[1:])))
        return 0
    modalities = [modality for modality in arguments.modalities if modality != "none"]
    films = arguments.film or [
        make_film(arguments.clips / f"memory_{minutes}min_{arguments.lines}.mp4", minutes, arguments.lines)
        for minutes in arguments.minutes
    ]
    rows = [measured(path, modalities) for path in films]
    print("| film | seconds | loaded, MiB | peak, MiB | above the networks, MiB | peak of the decoding process, MiB |")
    print("|---|---|---|---|---|---|")
    for path, row in zip(films, rows, strict=True):
        cells = (row["seconds"], row["loaded"], row["peak"], row["peak"] - row["loaded"], row["decoder"])
        print(f"| {path.name} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")
    together = [row["peak"] + row["decoder"] for row in rows]
    ratio = together[1] / together[0]
    what = ", ".join(modalities) or "no network"
    print(f"\nBoth processes together: the long film takes {ratio:.3f} times what the short one does ({what}).")
    above = max(both - row["loaded"] for both, row in zip(together, rows, strict=True))
    return int(ratio > MAX_RATIO or above > MAX_ABOVE_NETWORKS_MIB)


if __name__ == "__main__":
    sys.exit(main())
