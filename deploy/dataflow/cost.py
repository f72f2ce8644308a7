"""The cost of extracting a catalogue, from measured speeds and published prices.

    python deploy/dataflow/cost.py                         # 10,000 films of 100 minutes
    python deploy/dataflow/cost.py --films 500 --minutes 45 --faces 0 --vcpu-usd 0.06

Speeds are seconds of one processor (vCPU) for one second of film, with one thread, from benchmarks/extraction.md: what
ONNX Runtime's networks took in the job at 480 lines ("Engines"), and planned decoding at x264's defaults ("Decoding").
Both were measured on AMD EPYC machines whose model is unknown; no machine below was tried. A GPU runs the networks,
but not the detector and decoding. Starting machines, reading and writing are not counted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

DECODE_S = {"1080p": 1 / 7.4, "480p": 1 / 34.1}
"""Planned decoding of the pictures."""
CONVERSION_S = {"1080p": 0.008, "480p": 0.0}
"""Conversion of a picture to RGB; that of 480 lines is part of `BESIDE_S`."""
BESIDE_S = 0.0327 - 1 / 59.2
"""Sound, handing over, conversion: what the decoding process took beyond planned decoding, in the film of "Engines"."""
IMAGE_S, AUDIO_S, DETECTOR_S, SCALING_S, REST_S = 0.1109, 0.0265, 0.0467, 0.0028, 0.0011
FACE_S = 0.0411 / (8 / 7)
"""For one face; the film of "Engines" has 8 in 7 seconds."""
BFLOAT16 = {"image": 1.95, "audio": 2.09, "face": 1.93}
"""How many times as fast the networks are with `precision: bfloat16` (OpenVINO, measured on a Zen 4)."""
YUNET = 7.4 / 45.1
"""The time of YuNet (256 x 448, 0.8) as a share of MTCNN's, measured; it finds partly other faces."""
GPU_S = 0.005
"""Seconds of a T4 for the networks of one film second: 16 GFLOP at 0.43 of its 8.1 TFLOP/s, the share of the peak that
was measured on an H100 (benchmarks/extraction.md)."""

PRICES_AS_OF = (
    "us-central1; Dataflow's are those that Apache Beam's load tests take from Dataflow's price page "
    "(dataflow_cost_consts.py, read in November 2026), FlexRS 0.6 of them (not confirmed); Compute Engine's are those "
    "of Google's price list of 20 August 2026 (pricing.yml of google-cloud-pricing-cost-calculator, commit dac3128)"
)
VCPU_USD, MEMORY_GB_USD, DISK_GB_USD, T4_USD = 0.056, 0.003557, 0.000054, 0.42
"""Prices per hour of Dataflow's batch workers: a vCPU, a GB of memory, a GB of standard disk, a T4."""
FLEXRS = 0.6
"""FlexRS's price of vCPU and memory as a share of the others': preemptible workers, start within six hours, no GPU."""
SPOT_REPEATS = 1.05
"""Ours: work that is done again when a spot machine is taken away. A lost worker loses at most a segment of 900 s."""


@dataclass(frozen=True)
class Machine:
    """A worker: its processors, memory, disk and GPUs.

    Attributes:
        usd: the price of an hour at Compute Engine, without the disk; None for Dataflow's prices by its parts.
        repeats: how much of the work is done, with what has to be done again.
    """

    name: str
    vcpus: int
    memory_gb: float
    disk_gb: float
    gpus: int
    usd: float | None = None
    repeats: float = 1.0

    def usd_an_hour(
        self, vcpu_usd: float = VCPU_USD, gpu_usd: float = T4_USD, memory_usd: float = MEMORY_GB_USD
    ) -> float:
        """The price of an hour."""
        parts = self.vcpus * vcpu_usd + self.memory_gb * memory_usd + self.gpus * gpu_usd
        return (parts if self.usd is None else self.usd) + self.disk_gb * DISK_GB_USD


MACHINES = (Machine("n2-standard-8", 8, 32, 200, 0), Machine("n1-standard-16 + T4", 16, 60, 200, 1))
N2D = Machine("n2d-standard-8", 8, 32, 200, 0, usd=0.337968)
N2D_SPOT = replace(N2D, usd=0.118432, repeats=SPOT_REPEATS)
C4A_SPOT = Machine("c4a-standard-8 (Arm)", 8, 32, 200, 0, usd=0.179824, repeats=SPOT_REPEATS)
N4D_SPOT = Machine("n4d-standard-8 (AVX-512 BF16)", 8, 32, 200, 0, usd=0.180784, repeats=SPOT_REPEATS)


@dataclass(frozen=True)
class Step:
    """A step on the way to a lower price.

    Attributes:
        what: what is done.
        lines: which rendition.
        machine: on which machine.
        known: what of it was measured, and what wasn't.
        flexrs: whether Dataflow's FlexRS runs it.
        yunet: whether YuNet finds the faces instead of MTCNN.
        bfloat16: whether the networks compute in bfloat16.
    """

    what: str
    lines: str
    machine: Machine
    known: str
    flexrs: bool = False
    yunet: bool = False
    bfloat16: bool = False

    def vcpu_s(self, faces: float) -> float:
        """The seconds of a processor for a second of film, with what is done twice."""
        once = vcpu_s_a_film_second(self.machine, self.lines, faces, self.yunet, self.bfloat16)
        return self.machine.repeats * once

    def usd(self, film_s: float, faces: float, vcpu_usd: float) -> float:
        """The price of so many seconds of film."""
        share = FLEXRS if self.flexrs else 1.0
        hour_usd = self.machine.usd_an_hour(share * vcpu_usd, T4_USD, share * MEMORY_GB_USD)
        return film_s * self.vcpu_s(faces) / self.machine.vcpus / 3600 * hour_usd


STEPS = (
    Step("Dataflow", "1080p", MACHINES[0], "speed measured, on another machine; price published"),
    Step("the smaller rendition", "480p", MACHINES[0], "speed measured, on another machine; price published"),
    Step("Dataflow's FlexRS", "480p", MACHINES[0], "speed measured; price not confirmed", flexrs=True),
    Step("Flink on machines of your own", "480p", N2D, "the jobs run on Flink (tests); speed there not measured"),
    Step("spot machines", "480p", N2D_SPOT, "a killed TaskManager costs no result (tests); how often: an assumption"),
    Step("spot machines, large rendition", "1080p", N2D_SPOT, "the same"),
    Step("spot, YuNet for MTCNN", "480p", N2D_SPOT, "its speed measured; partly other faces", yunet=True),
    Step("spot, YuNet for MTCNN, large rendition", "1080p", N2D_SPOT, "the same", yunet=True),
    Step("spot, bfloat16", "480p", N4D_SPOT, "speed measured on a Zen 4, this is a Zen 5", bfloat16=True),
    Step("spot, bfloat16, YuNet", "480p", N4D_SPOT, "each measured, not together", yunet=True, bfloat16=True),
    Step("spot, Arm", "480p", C4A_SPOT, "never tried; counted as fast as measured"),
)


def vcpu_s_a_film_second(
    machine: Machine, lines: str, faces: float, yunet: bool = False, bfloat16: bool = False
) -> float:
    """The seconds of a processor for a second of film."""
    detector_s = DETECTOR_S * (YUNET if yunet else 1.0)
    on_vcpus = DECODE_S[lines] + CONVERSION_S[lines] + BESIDE_S + detector_s + SCALING_S + REST_S
    networks = {"image": IMAGE_S, "audio": AUDIO_S, "face": faces * FACE_S}
    return on_vcpus + sum(
        0.0 if machine.gpus else seconds / (BFLOAT16[name] if bfloat16 else 1.0) for name, seconds in networks.items()
    )


def machine_hours(machine: Machine, lines: str, film_s: float, faces: float) -> float:
    """The hours of one machine for so many seconds of film: of its processors or its GPU, whichever is the limit."""
    on_vcpus = film_s * vcpu_s_a_film_second(machine, lines, faces) / machine.vcpus
    on_gpus = film_s * GPU_S / machine.gpus if machine.gpus else 0.0
    return machine.repeats * max(on_vcpus, on_gpus) / 3600


def table(films: int, minutes: float, faces: float, vcpu_usd: float, gpu_usd: float) -> str:
    """The estimate on Dataflow as a Markdown table."""
    film_s = films * minutes * 60
    rows = [("film", "machine", "vCPU s / film s", "machine hours", "hours on 50", "USD", "USD / film")]
    for rendition in DECODE_S:
        for machine in MACHINES:
            speed = vcpu_s_a_film_second(machine, rendition, faces)
            hours = machine_hours(machine, rendition, film_s, faces)
            usd = hours * machine.usd_an_hour(vcpu_usd, gpu_usd)
            figures = (f"{speed:.3f}", f"{hours:,.0f}", f"{hours / 50:.1f}", f"{usd:,.0f}", f"{usd / films:.3f}")
            rows.append((rendition, machine.name, *figures))
    return markdown(rows)


def steps(films: int, minutes: float, faces: float, vcpu_usd: float) -> str:
    """The way to a lower price as a Markdown table; each row stands for itself."""
    film_s = films * minutes * 60
    rows = [("step", "film", "machine", "vCPU s / film s", "USD / vCPU hour", "USD", "what is known")]
    for step in STEPS:
        usd, speed = step.usd(film_s, faces, vcpu_usd), step.vcpu_s(faces)
        hour_usd = usd / (film_s * speed / 3600)
        rows.append(
            (step.what, step.lines, step.machine.name, f"{speed:.3f}", f"{hour_usd:.4f}", f"{usd:,.0f}", step.known)
        )
    return markdown(rows)


def markdown(rows: list[tuple[str, ...]]) -> str:
    """Rows as a table; the first has the titles."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ("---",) * len(rows[0]), *rows[1:]))


def main() -> None:
    """Prints the assumptions and both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=100.0, help="length of a film")
    parser.add_argument("--faces", type=float, default=1.0, help="faces a second, on average; 0 to 2")
    parser.add_argument("--vcpu-usd", type=float, default=VCPU_USD, help="an hour of a vCPU at Dataflow")
    parser.add_argument("--gpu-usd", type=float, default=T4_USD, help="an hour of a T4 at Dataflow")
    given = parser.parse_args()
    print(f"{given.films:,} films of {given.minutes:g} minutes; prices: {PRICES_AS_OF}\n")
    print(table(**vars(given)), end="\n\n")
    print(steps(given.films, given.minutes, given.faces, given.vcpu_usd))


if __name__ == "__main__":
    main()
