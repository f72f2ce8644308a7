"""Hundreds of broken inputs: each is read, or refused with a reason. None may crash or hang the decoder.

    python -m benchmarks.abuse                    # 641 inputs, a minute; exits with 1 where one fails
    python -m benchmarks.abuse --seed 2 --per-kind 10

Each input is probed, and its pictures and its sound are read to the end, as the extract job does it: in the decoding
process with its deadline and memory limit. `read` means exactly one picture and one window of sound per second. Other
results that are no refusal (a crash or hang of the decoding process, another number of pictures) are failures of this
project, although the job would continue; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from beam_pipelines.extractors.config import AudioConfig, DecodeConfig
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.audio.audio_windows import AUDIO_RATE_HZ
from beam_pipelines.media.damage import refuse_too_damaged
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import MediaLimits
from beam_pipelines.media.worker.decoding_process import CRASHED, TIMEOUT, UNFORESEEN, DecodingProcess
from benchmarks.damaged_inputs import write_inputs, write_sources
from benchmarks.memory import peak_mib

DEADLINE_S = 60.0
MEMORY_LIMIT_MB = 2048
READ, UNACCOUNTED = "read", "unaccounted for"
FAILURES = frozenset({*(f"decode: {reason}" for reason in (CRASHED, TIMEOUT, UNFORESEEN)), UNACCOUNTED})


def outcome_of(path: Path, decoder: DecodingProcess) -> tuple[str, str]:
    """The result for one input, in a word or two, and the details."""
    max_damaged_share, window_s = DecodeConfig().max_damaged_share, AudioConfig().window_s
    pictures, sound = DecodeQuality(), DecodeQuality()
    try:
        probe = decoder.probe(path, MediaLimits())
        seconds = range(probe.seconds)
        frames = [
            (frame.t, frame.image.shape) for frame in decoder.pictures(path, probe, seconds, pictures, MediaLimits())
        ]
        refuse_too_damaged(path.name, "picture", pictures, max_damaged_share)
        windows = [(window.t, len(window.samples)) for window in decoder.sound(path, probe, seconds, sound, window_s)]
        refuse_too_damaged(path.name, "sound", sound, max_damaged_share)
    except FilmError as error:
        return f"{error.step}: {error.reason}", error.detail
    shape = (probe.height_px, probe.width_px, 3)
    if frames != [(t, shape) for t in seconds]:
        return UNACCOUNTED, f"{len(frames)} pictures for {len(seconds)} seconds, or of another size than {shape}"
    if windows != [(t, round(window_s * AUDIO_RATE_HZ)) for t in seconds]:
        return UNACCOUNTED, f"{len(windows)} windows for {len(seconds)} seconds, or of another length"
    return READ, ""


def run(folder: Path, seed: int, per_kind: int, every: int = 1) -> tuple[dict[str, Counter[str]], list[str], float]:
    """Reads every n-th input.

    Returns:
        Kind of damage -> outcomes with their numbers; what failed, with the input's name; and the peak of the decoding
        process in MiB (of the last one, where one failed).
    """
    sources = write_sources(folder)
    inputs = folder / "inputs"
    inputs.mkdir()
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    failures = []
    with DecodingProcess(DEADLINE_S, MEMORY_LIMIT_MB) as decoder:
        for number, (kind, path) in enumerate(write_inputs(inputs, sources, seed, per_kind)):
            if number % every:
                continue
            outcome, detail = outcome_of(path, decoder)
            outcomes[kind][outcome] += 1
            if outcome in FAILURES:
                failures.append(f"{path.name}: {outcome}: {detail}")
        peak = peak_mib(decoder.pid)
    return outcomes, failures, peak


def table(outcomes: dict[str, Counter[str]]) -> str:
    """The table: one line per kind of damage, one column per outcome."""
    total = sum(outcomes.values(), Counter[str]())
    columns = sorted(total, key=lambda outcome: (outcome != READ, outcome))
    lines = [f"| damage | inputs | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for kind, counts in [*outcomes.items(), ("all", total)]:
        cells = [str(counts[column] or "") for column in columns]
        lines.append(f"| {kind.replace('_', ' ')} | {counts.total()} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the command; returns 1 if an input fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-kind", type=int, default=4, help="inputs of each damage to each source")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes, failures, peak = run(Path(folder), arguments.seed, arguments.per_kind)
    print(table(outcomes))
    inputs = sum(counts.total() for counts in outcomes.values())
    print(f"\n{inputs} inputs in {time.monotonic() - began:.0f} s, {len(failures)} failures.")
    print(f"The decoding process took at most {peak:.0f} MiB, its limit was {MEMORY_LIMIT_MB} MB of data.")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
