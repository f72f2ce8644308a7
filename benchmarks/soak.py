"""The soak: a Flink cluster extracts and scores films while its parts and the storage are killed or fail at random.

    make soak                                                        # 500 films, 20 minutes and what the last job needs
    python -m benchmarks.soak --films 30 --minutes 2 --seed 7        # needs Java 17, and the extra `test`

Films and results lie in a bucket of a storage emulator. TaskManagers, their Python workers, the job server and the
emulator are killed and started again, connections are cut, the storage answers 503: for seconds, and now and then for
longer than clients repeat a listing (transfers they repeat for longer). A job that ends with an error is given again,
as a user does, until it is done. Rounds follow each other until the time is over: `extract` and then `score` of the
records, and `score` of the films. After each

- films in = done + failed, and exactly the films that were broken on purpose have failed;
- records, curves, tables, failures and warnings have the bytes of one undisturbed local run;
- nothing else is there: no part, no list of films, no temporary file.

Every error of a job must be one for people, and no job may stand still. The exit code is 1 if anything doesn't hold.
The seed decides what fails in which order; the moments depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.storage.temporary_folders import temporary_folder
from benchmarks.soak_faults import Faults, Storage, Victims
from benchmarks.soak_films import write_films
from benchmarks.soak_jobs import BUCKET, CONFIG, DONE, FOR_PEOPLE, OF_THE_JOB, TRY_AGAIN, UNDISTURBED, Soak, uri
from tests.support.faulty_proxy import running_proxy
from tests.support.gcs_emulator import GcsEmulator

TASK_MANAGERS = 3
WORKERS_END_S = 20.0
"""So long a worker has to end by itself once its TaskManager was killed."""


def undisturbed(soak: Soak) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes]]:
    """What the three commands must leave, by one local run without faults: features, scores, and both in one."""
    for words in (soak.extract(UNDISTURBED), soak.score(UNDISTURBED)):
        log = soak.home / "log" / f"undisturbed-{words[0]}.log"
        if soak.run([*words, "--workers=1"], log) != DONE:
            raise RuntimeError(f"the undisturbed run failed: {log.read_text()[-3000:]}")
    features, scores = (soak.objects(f"{UNDISTURBED}/{name}") for name in ("features", "scores"))
    for files in (features, scores):
        del files[RUN_MANIFEST]
    records = {f"records/{name}": content for name, content in features.items() if name.endswith(".tfrecord")}
    return features, scores, {**{name: scores[name] for name in scores if name not in OF_THE_JOB}, **records}


def run_until_done(soak: Soak, victims: Victims, draws: random.Random, words: Sequence[str], job: str) -> None:
    """Gives a command again and again until it is done or what must not happen has happened."""
    output = words[words.index("--output") + 1].removeprefix(uri(""))
    number = 0
    while not soak.faults:
        if not victims.accepts_jobs():
            time.sleep(0.5)
            continue
        number += 1
        log = soak.home / "log" / f"{job.replace(' ', '-')}-{number}.log"
        ending = soak.run([*words, *victims.cluster.options], log, output)
        soak.endings[ending] += 1
        print(f"{time.strftime('%H:%M:%S')} {job}, given for the {number}. time: {ending}", flush=True)
        if ending == DONE:
            return
        if ending not in (FOR_PEOPLE, TRY_AGAIN):
            soak.faults.append(f"{job}: {ending}; see {log}")
        # A job that has lost its job server goes on alone. Sometimes it is left to, beside the next one.
        if len(victims.jobs()) > 1 or draws.random() < 0.5:
            soak.endings["orphaned jobs cancelled"] += victims.cancel_jobs()


def rounds(
    soak: Soak,
    victims: Victims,
    faults: Sequence[Faults],
    draws: random.Random,
    ended: threading.Event,
    wanted: tuple[dict[str, bytes], ...],
) -> int:
    """Runs rounds until the time is over, and checks each job; how many rounds there were."""
    features, scores, both = wanted
    number = 0
    while not soak.faults and (number == 0 or not ended.is_set()):
        number += 1
        output = f"round{number}"
        if number % 2:
            jobs = [(soak.extract(output), "extract", f"{output}/features", features)]
            jobs.append((soak.score(output), "score", f"{output}/scores", scores))
        else:
            jobs = [(soak.both(output), "both in one", f"{output}/scores", both)]
        for words, name, folder, files in jobs:
            run_until_done(soak, victims, draws, words, f"round {number}, {name}")
            if soak.faults:
                break
            with ExitStack() as pauses:
                for fault in faults:
                    pauses.enter_context(fault.paused())
                soak.endings["orphaned jobs cancelled"] += victims.cancel_jobs()
                soak.check(folder, f"round {number}, {name}", files)
    return number


def soak_in(home: Path, films: int, minutes: float, seed: int, every_s: float) -> int:
    """The whole soak in an empty folder; prints what it found, and returns the exit code."""
    for name in ("log", "tmp", "storage"):
        (home / name).mkdir(parents=True)
    (home / "soak.yaml").write_text(CONFIG)
    draws = {what: random.Random(f"{seed} {what}") for what in ("films", "storage", "cluster", "jobs")}
    broken = write_films(home / "films", films, draws["films"])
    soak, ended = Soak(home, films, broken), threading.Event()
    with ExitStack() as stack:
        proxy = stack.enter_context(running_proxy())
        # Everything that is started from here on sees this bucket, and has its temporary files in one place.
        os.environ.update(STORAGE_EMULATOR_HOST=proxy.url, TMPDIR=str(home / "tmp"))
        tempfile.tempdir = str(home / "tmp")
        store = Storage(home / "storage", proxy, ended)
        store.process.start()
        stack.callback(store.process.stop)
        GcsEmulator(store.process.url).make_bucket(BUCKET)
        storage.copy_tree(str(home / "films"), uri("films"))
        rows = [f"{path.name},films/{path.name}" for path in sorted((home / "films").iterdir())]
        storage.write_text(uri("films.csv"), "\n".join(["film_id,path", *rows, ""]))
        victims = Victims(home / "cluster", TASK_MANAGERS, ended)
        stack.callback(victims.stop)
        kinds = {"storage": store.kinds(draws["storage"]), "cluster": victims.kinds(draws["cluster"])}
        faults = [Faults(kinds[of], draws[of], every_s, ended, soak.faults) for of in kinds]
        timer = threading.Timer(minutes * 60, ended.set)
        stack.callback(timer.cancel)
        try:
            wanted = undisturbed(soak)
            timer.start()
            for fault in faults:
                fault.start()
            number = rounds(soak, victims, faults, draws["jobs"], ended, wanted)
        finally:
            ended.set()
            for fault in faults:
                fault.join()
        time.sleep(WORKERS_END_S)
        if orphans := victims.orphans():
            soak.faults.append(f"workers of {len(orphans)} killed TaskManagers have not ended")
    with temporary_folder(uri("film")):  # as the next job makes one
        pass
    if left := sorted(path.name for path in (home / "tmp").glob("cineaffect-*")):
        soak.faults.append(f"{len(left)} temporary folders of killed processes are left: {left[:5]}")
    report(soak, faults, number, minutes)
    return 1 if soak.faults else 0


def report(soak: Soak, faults: Sequence[Faults], number: int, minutes: float) -> None:
    """Prints what happened, and what doesn't hold."""
    counts = sum((fault.counts for fault in faults), Counter[str]())
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {minutes:g} minutes of faults")
    done = soak.films - len(soak.broken)
    print(f"films: {soak.films} in = {done} done + {len(soak.broken)} failed, rounds: {number}")
    print("\n| fault survived | times |\n|---|---|")
    for name, count in sorted(counts.items()):
        print(f"| {name} | {count} |")
    print(f"| all | {counts.total()} |\n\n| job ended with | times |\n|---|---|")
    for name, count in sorted(soak.endings.items()):
        print(f"| {name} | {count} |")
    print()
    for fault in soak.faults:
        print(f"doesn't hold: {fault}")
    print("everything holds" if not soak.faults else f"{len(soak.faults)} things don't hold; look at {soak.home}")


def main() -> int:
    """Runs the command; returns 1 if anything doesn't hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--films", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=20, help="of faults; the job that runs then is finished")
    parser.add_argument("--seed", type=int, help="decides what fails; drawn and printed without")
    parser.add_argument(
        "--every", type=float, default=30, help="mean seconds between faults, of cluster and storage each"
    )
    parser.add_argument("--home", type=Path, help="a new folder, which stays (default: one that goes if all holds)")
    arguments = parser.parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    home = (arguments.home or Path(tempfile.mkdtemp(prefix="cineaffect-soak-"))).resolve()
    code = soak_in(home, arguments.films, arguments.minutes, seed, arguments.every)
    if not code and not arguments.home:
        shutil.rmtree(home)
    return code


if __name__ == "__main__":
    sys.exit(main())
