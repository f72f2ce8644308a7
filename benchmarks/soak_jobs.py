"""The soak's jobs: the commands, how each ends, and whether what it leaves is what it must be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from beam_pipelines.contracts.runs import FAILURES, RUN_MANIFEST, TRIED_AGAIN, WARNINGS
from beam_pipelines.foundation.errors import EXIT_FAILED, EXIT_OK, EXIT_SOME_FILMS_FAILED

BUCKET = "soak"
UNDISTURBED = "undisturbed"
CONFIG = """\
extract: {modalities: [picture_signals, sound_signals], segment_s: 300}
score: {plots: false, shards: 4}
"""
DONE, FOR_PEOPLE, WITHOUT_A_WORD, STOOD_STILL = "done", "an error for people", "an error without a word", "stood still"
TRY_AGAIN = "done but for films that are tried again"
OF_THE_JOB = (FAILURES, WARNINGS)
"""Of one job they have more fields than of two."""
STANDS_STILL_AFTER_S = 420.0
"""A job that has written nothing for so long stands still. The storage is away for 140 s at most (`soak_faults`), and
its clients ask again at least once a minute; Flink waits five minutes for slots."""


@dataclass
class Soak:
    """A run of the soak: where it lies, and what it has seen.

    Attributes:
        home: its folder: films, the emulator's objects, logs.
        films: how many films there are.
        broken: the ids of those that are broken on purpose.
        endings: how jobs on the cluster ended -> how many.
        faults: what doesn't hold, in sentences.
    """

    home: Path
    films: int
    broken: list[str]
    endings: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def objects(self, folder: str) -> dict[str, bytes]:
        """Name -> bytes of the objects below a folder of the bucket, looked up where the emulator keeps them."""
        root = self.home / "storage" / BUCKET / folder
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return {name: content for name, content in found.items() if not name.endswith(".metadata")}

    def extract(self, output: str) -> list[str]:
        """The command that extracts all films."""
        return ["extract", "--films", uri("films"), "--output", uri(f"{output}/features"), *self._config()]

    def score(self, output: str) -> list[str]:
        """The command that scores their records."""
        records = ["--records", uri(f"{output}/features"), "--manifest", uri("films.csv")]
        return ["score", *records, "--model=builtin:signals", "--output", uri(f"{output}/scores"), *self._config()]

    def both(self, output: str) -> list[str]:
        """The command that does both."""
        films = ["--films", uri("films")]
        return ["score", *films, "--model=builtin:signals", "--output", uri(f"{output}/scores"), *self._config()]

    def run(self, words: Sequence[str], log: Path, folder: str = "") -> str:
        """Runs a command to its end, which it gives in a word or two.

        Args:
            words: the command.
            log: the file for what it says.
            folder: the folder of the bucket in which something must change now and then.
        """
        with log.open("w") as said:
            command = [sys.executable, "-m", "beam_pipelines.cli", *words]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        began_s = time.time()
        while _runs(process):
            if folder and time.time() - max(self._changed_s(folder), began_s) > STANDS_STILL_AFTER_S:
                process.kill()
                process.wait()
                return STOOD_STILL
        errors = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
        if process.returncode in (EXIT_OK, EXIT_SOME_FILMS_FAILED):
            return TRY_AGAIN if folder and self.tried_again(folder) else DONE
        return FOR_PEOPLE if errors and process.returncode == EXIT_FAILED else WITHOUT_A_WORD

    def tried_again(self, folder: str) -> list[str]:
        """The good films that failed for a reason of the machine's, which the next run tries again: `film: reason`."""
        rows = self._failures(folder)
        return [f"{row['film_id']}: {row['reason']}" for row in rows if self._is_the_machines(row)]

    def check(self, output: str, job: str, wanted: dict[str, bytes]) -> None:
        """Adds to `faults` what of a finished job's folder isn't as it must be.

        Args:
            output: the folder in the bucket.
            job: what to call it.
            wanted: name -> bytes of all files but the manifest.
        """
        found = self.objects(output)
        for name in found.keys() & {*OF_THE_JOB}:  # which name the records' folder
            found[name] = found[name].replace(uri(output.split("/")[0]).encode(), uri(UNDISTURBED).encode())
        films = json.loads(found.pop(RUN_MANIFEST, b'{"films": {}}'))["films"]
        failed = len(self.broken)
        if (films.get("in"), films.get("failed")) != (self.films, failed) or (
            films["done"] + films["skipped"] != self.films - failed
        ):
            self.faults.append(f"{job}: {self.films} films, of which {failed} are broken, are counted as {films}")
        rows = self._failures(output)
        if sorted(row["film_id"] for row in rows) != self.broken:
            others = [f"{row['film_id']} ({row['reason']})" for row in rows if row["film_id"] not in self.broken]
            self.faults.append(f"{job}: {len(rows)} films failed, and of the good ones {others}")
        for what, names in (
            ("absent", wanted.keys() - found.keys()),
            ("left over", found.keys() - wanted.keys() - {*OF_THE_JOB}),
            ("of other bytes", {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]}),
        ):
            if names:
                self.faults.append(f"{job}: {len(names)} files {what}: {sorted(names)[:5]}")

    def _is_the_machines(self, row: dict[str, str]) -> bool:
        return row["film_id"] not in self.broken and row["reason"] in TRIED_AGAIN

    def _failures(self, folder: str) -> list[dict[str, str]]:
        return [json.loads(row) for row in self.objects(folder).get(FAILURES, b"").splitlines()]

    def _changed_s(self, folder: str) -> float:
        newest_s = 0.0
        for place, _, names in os.walk(self.home / "storage" / BUCKET / folder):
            for name in names:
                with suppress(FileNotFoundError):
                    newest_s = max(newest_s, os.stat(os.path.join(place, name)).st_ctime)
        return newest_s

    def _config(self) -> list[str]:
        return ["--config", str(self.home / "soak.yaml"), "--no_auth"]


def uri(name: str) -> str:
    """The address of an object of the bucket."""
    return f"gs://{BUCKET}/{name}"


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether it still runs after some seconds."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        return True
    return False
