"""The cost of extracting a catalogue on Dataflow, from measured speeds and assumed prices.

    python deploy/dataflow/cost.py                         # 10,000 films of 100 minutes
    python deploy/dataflow/cost.py --films 500 --minutes 45 --faces 0 --vcpu-usd 0.06

Speeds are seconds of one processor (vCPU) for one second of film, with one thread. Decoding was measured by `python -m
benchmarks.decoding` (benchmarks/extraction.md: planned decoding, x264 defaults), the networks on such a machine:
InceptionV3 and VGGish in batches of 16, the detector batched at 480 lines, one face per second for the face network.
TensorFlow ran them; ONNX Runtime, which runs them now, took 0.93 of the whole job's time, so the estimate is high.
A GPU runs the networks, but not the detector and decoding. Starting machines, reading and writing are not counted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

DECODE_S = {"1080p": 1 / 10.2, "480p": 1 / 53.2}
IMAGE_S, AUDIO_S, DETECTOR_S, FACE_S = 0.079, 0.012, 0.080, 0.020
GPU_S = 0.005
"""Seconds of a T4 for the networks of one film second: 16 GFLOP at 0.43 of its 8.1 TFLOP/s, the share of the peak that
was measured on an H100 (benchmarks/extraction.md)."""

PRICES_AS_OF = "2024, us-central1, list prices from memory: not looked up, put in today's"
VCPU_USD, MEMORY_GB_USD, DISK_GB_USD, T4_USD = 0.056, 0.003557, 0.000054, 0.35
"""Prices per hour of Dataflow's batch workers: a vCPU, a GB of memory, a GB of standard disk, a T4."""


@dataclass(frozen=True)
class Machine:
    """A worker: its processors, memory, disk and GPUs."""

    name: str
    vcpus: int
    memory_gb: float
    disk_gb: float
    gpus: int

    def usd_an_hour(self, vcpu_usd: float, gpu_usd: float) -> float:
        """The price of an hour."""
        return self.vcpus * vcpu_usd + self.memory_gb * MEMORY_GB_USD + self.disk_gb * DISK_GB_USD + self.gpus * gpu_usd


MACHINES = (Machine("n2-standard-8", 8, 32, 200, 0), Machine("n1-standard-16 + T4", 16, 60, 200, 1))


def vcpu_s_a_film_second(machine: Machine, lines: str, faces: float) -> float:
    """The seconds of a processor for a second of film."""
    on_vcpus = DECODE_S[lines] + DETECTOR_S
    return on_vcpus if machine.gpus else on_vcpus + IMAGE_S + AUDIO_S + faces * FACE_S


def machine_hours(machine: Machine, lines: str, film_s: float, faces: float) -> float:
    """The hours of one machine for so many seconds of film: of its processors or its GPU, whichever is the limit."""
    on_vcpus = film_s * vcpu_s_a_film_second(machine, lines, faces) / machine.vcpus
    on_gpus = film_s * GPU_S / machine.gpus if machine.gpus else 0.0
    return max(on_vcpus, on_gpus) / 3600


def table(films: int, minutes: float, faces: float, vcpu_usd: float, gpu_usd: float) -> str:
    """The estimate as a Markdown table."""
    film_s = films * minutes * 60
    titles = ("film", "machine", "vCPU s / film s", "machine hours", "hours on 50", "USD", "USD / film")
    rows = [titles, ("---",) * len(titles)]
    for rendition in DECODE_S:
        for machine in MACHINES:
            speed = vcpu_s_a_film_second(machine, rendition, faces)
            hours = machine_hours(machine, rendition, film_s, faces)
            usd = hours * machine.usd_an_hour(vcpu_usd, gpu_usd)
            figures = (f"{speed:.3f}", f"{hours:,.0f}", f"{hours / 50:.1f}", f"{usd:,.0f}", f"{usd / films:.3f}")
            rows.append((rendition, machine.name, *figures))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Prints the assumptions and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=100.0, help="length of a film")
    parser.add_argument("--faces", type=float, default=1.0, help="faces a second, on average; 0 to 2")
    parser.add_argument("--vcpu-usd", type=float, default=VCPU_USD, help="an hour of a vCPU")
    parser.add_argument("--gpu-usd", type=float, default=T4_USD, help="an hour of a T4")
    arguments = parser.parse_args()
    print(f"{arguments.films:,} films of {arguments.minutes:g} minutes; prices: {PRICES_AS_OF}\n")
    print(table(**vars(arguments)))


if __name__ == "__main__":
    main()
