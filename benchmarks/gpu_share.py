"""How busy a GPU is while something runs: nvidia-smi, asked once a second."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from types import TracebackType

FIELDS = ("utilization.gpu", "utilization.decoder", "memory.used")


class GpuShare:
    """Samples the first GPU within a `with` block; afterwards `means` has each field's mean; empty without a GPU."""

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> GpuShare:
        program = shutil.which("nvidia-smi")
        if program is not None:
            command = [
                program,
                "-i",
                "0",
                f"--query-gpu={','.join(FIELDS)}",
                "--format=csv,noheader,nounits",
                "-l",
                "1",
            ]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self.means = means_of(self._process.communicate()[0])


def means_of(text: str) -> dict[str, float]:
    """Each field's mean over nvidia-smi's lines; lines and fields that hold no number (`[N/A]`) are left out."""
    columns: dict[str, list[float]] = {field: [] for field in FIELDS}
    for line in text.splitlines():
        for field, value in zip(FIELDS, line.split(","), strict=False):
            try:
                columns[field].append(float(value))
            except ValueError:
                continue
    return {field: statistics.mean(values) for field, values in columns.items() if values}
