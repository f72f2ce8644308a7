"""The templates in deploy/: they parse, and what they start is a command that the project has."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.cli import COMMANDS
from beam_pipelines.commands import weights as weights_command
from beam_pipelines.foundation.errors import EXIT_HELD, ConfigurationError
from beam_pipelines.launch import job
from tests.support.dataflow_scripts import SETTINGS, arguments_of
from trainer.commands import retrain
from trainer.retraining.config import RetrainConfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERS = sorted((DEPLOY / "containers").glob("*.Dockerfile"))
PACKAGED = [path for path in CONTAINERS if path.stem != "template"]  # which is made of the image of another
ASSETS = ROOT / "beam_pipelines" / "report" / "assets"
SCRIPTS = ("extract", "prepare", "score")


def read_unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / "systemd" / name).read_text())
    return unit


def container_of(kind: str) -> dict[str, Any]:
    document = yaml.safe_load((DEPLOY / kind / "retrain.yaml").read_text())
    if kind == "vertex":
        (pool,) = document["workerPoolSpecs"]
        return pool["containerSpec"]
    (container,) = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return container


def started() -> dict[str, list[str]]:
    cron = (DEPLOY / "cron" / "cineaffect.crontab").read_text().splitlines()[-1]
    service = read_unit("cineaffect-retrain.service")["Service"]["ExecStart"]
    return {
        "cron": shlex.split(cron.split(">>")[0].partition(" cineaffect ")[2]),
        "systemd": shlex.split(service)[1:],
        "kubernetes": container_of("kubernetes")["args"],
        "vertex": container_of("vertex")["args"],
    }


@pytest.mark.parametrize("kind", ["cron", "systemd", "kubernetes", "vertex"])
def test_what_is_started_is_accepted_up_to_the_configuration_file(kind, emulator, capsys):
    command, *arguments = [word.replace("BUCKET", "bucket") for word in started()[kind]]
    assert COMMANDS[command][0] == "trainer.commands.retrain"
    assert retrain.main(arguments) == 2  # the parser takes it; the file is not there
    assert f"{arguments[-1]}: no such configuration file" in capsys.readouterr().err


def test_the_timer_starts_the_service_and_being_held_is_no_failure():
    assert read_unit("cineaffect-retrain.timer")["Timer"]["OnCalendar"]
    assert int(read_unit("cineaffect-retrain.service")["Service"]["SuccessExitStatus"]) == EXIT_HELD


def test_schedulers_forbid_a_second_start():
    cron = (DEPLOY / "cron" / "cineaffect.crontab").read_text()
    assert f" flock -n -E {EXIT_HELD} /var/lib/cineaffect/retrain.cron.lock cineaffect retrain " in cron
    job = yaml.safe_load((DEPLOY / "kubernetes" / "retrain.yaml").read_text())
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_in_containers_all_that_outlives_a_round_lies_in_the_bucket():
    assert started()["kubernetes"][-1] == started()["vertex"][-1] == "gs://BUCKET/retrain.yaml"
    (section,) = re.findall(r"    retrain:\n(?:      .+\n)+", (DEPLOY / "README.md").read_text())
    config = RetrainConfig.model_validate(yaml.safe_load(section)["retrain"])
    assert all(place.startswith("gs://BUCKET/") for place in (config.manifest, config.records, config.output))


def test_folders_of_the_cron_job_lie_on_its_volume():
    document = yaml.safe_load((DEPLOY / "kubernetes" / "retrain.yaml").read_text())
    pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    for container in (*pod["initContainers"], *pod["containers"]):
        (mount,) = container["volumeMounts"]
        assert mount["name"] == volume["name"]
        places = {entry["value"] for entry in container["env"]}
        assert all(place == mount["mountPath"] or place.startswith(mount["mountPath"] + "/") for place in places)
    (weights,) = pod["initContainers"]
    weights_command._parser().parse_args(weights["args"][1:])


def copied(container: Path) -> list[tuple[str, str]]:
    """(path in the checkout, path in the image) of everything that a container file copies from the checkout."""
    lines = [line.split()[1:] for line in container.read_text().splitlines() if line.startswith("COPY ")]
    return [
        (source, f"{target}{source}" if target.endswith("/") else target)
        for *sources, target in lines
        for source in sources
        if not sources[0].startswith("--from=")
    ]


@pytest.mark.parametrize(
    "path",
    [PACKAGED[0], *(pytest.param(path, marks=pytest.mark.slow) for path in PACKAGED[1:])],
    ids=lambda path: path.stem,
)
def test_what_a_container_file_copies_is_all_that_the_package_needs(path, tmp_path):
    """The image's own step, as far as it needs no network: the package is built from the copied files alone."""
    for source, target in copied(path):
        place = tmp_path / target.removeprefix("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, f"--wheel-dir={tmp_path}", str(tmp_path / "src")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("cineaffect-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert packed >= {f"trainer/paper/run{number}.yaml" for number in range(1, 6)}
    assert packed >= {f"beam_pipelines/report/assets/{path.name}" for path in ASSETS.iterdir()}
    modules = [path for package in ("beam_pipelines", "trainer") for path in (ROOT / package).rglob("*.py")]
    assert packed >= {path.relative_to(ROOT).as_posix() for path in modules}
    assert packed >= {"beam_pipelines/demo/demo.yaml", "beam_pipelines/py.typed", "trainer/py.typed"}
    assert "beam_pipelines/docs/responsible-use.md" in packed


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.stem)
def test_what_a_container_file_names_exists(path):
    text = path.read_text()
    sources = [source for source, _ in copied(path)]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    setup = (ROOT / "setup.py").read_text()
    for extras in re.findall(r"/src\[([a-z,]+)\]", text):
        assert all(f'"{extra}": [' in setup for extra in extras.split(","))
    for program in re.findall(r"^ENV FLEX_TEMPLATE_PYTHON_PY_FILE=(\S+)$", text, re.MULTILINE):
        assert program in [target for _, target in copied(path)]


def test_the_template_is_the_worker_of_its_python_and_its_entry_point():
    text = (DEPLOY / "containers" / "template.Dockerfile").read_text()
    worker = (DEPLOY / "containers" / "worker.Dockerfile").read_text()
    (python,) = re.findall(r"^FROM \S+/python(\d+)-template-launcher-base:\S+ AS launcher$", text, re.MULTILINE)
    assert f"FROM python:{python[0]}.{python[1:]}-slim" in worker
    assert "FROM ${IMAGE}" in text
    assert text.splitlines()[-1] == worker.splitlines()[-1]


@pytest.mark.parametrize("path", [path for path in CONTAINERS if "worker" in path.stem], ids=lambda path: path.stem)
def test_a_worker_starts_beam_of_the_pinned_version(path):
    text = path.read_text()
    (python, version) = re.findall(r"^FROM apache/beam_python([\d.]+)_sdk:([\d.]+) AS beam$", text, re.MULTILINE)[0]
    assert f"FROM python:{python}-slim" in text
    assert f'"apache-beam>={version.rpartition(".")[0]},' in (ROOT / "setup.py").read_text()
    assert "COPY --from=beam /opt/apache/beam /opt/apache/beam" in text
    assert text.splitlines()[-1] == 'ENTRYPOINT ["/opt/apache/beam/boot"]'


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.stem)
def test_a_script_is_bash(path):
    subprocess.run(["bash", "-n", str(path)], check=True)


class LookedAtError(ConfigurationError):
    """Raised in a job's place when its options have been read."""


@pytest.mark.parametrize(("script", "gpu"), [*((script, "") for script in SCRIPTS), ("extract", "1")])
def test_every_option_of_a_dataflow_command_is_one_of_the_job_or_of_beam(script, gpu, tmp_path, monkeypatch, capsys):
    command, *arguments = arguments_of(script, tmp_path, GPU=gpu)
    assert command == script
    seen: list[PipelineOptions] = []
    build = job.beam_options

    def look(*given: Any, **named: Any) -> PipelineOptions:
        seen.append(build(*given, **named))
        raise LookedAtError("looked at")

    monkeypatch.setattr(job, "beam_options", look)
    assert importlib.import_module(COMMANDS[command][0]).main(arguments) == 2
    assert capsys.readouterr().err == "error: looked at\n"
    (options,) = seen
    known = options.get_all_options()
    assert set(options.get_all_options(retain_unknown_options=True)) == set(known)
    assert known["runner"] == "DataflowRunner"
    assert (known["sdk_container_image"], known["num_workers"]) == ("some/image:1", 2)
    assert known["temp_location"] == "gs://some-bucket/tmp"
    # On a GPU machine one process, with a film for each of its 16 processors; else a process a processor and film.
    assert known["number_of_worker_harness_threads"] == (16 if gpu else 1)
    assert ("no_use_multiple_sdk_containers" in known["experiments"]) == bool(gpu)
    assert "use_runner_v2" in known["experiments"]
    assert bool(known["dataflow_service_options"]) == bool(gpu)


def test_a_script_says_what_it_lacks(tmp_path):
    environment = {"PATH": os.environ["PATH"], **SETTINGS}
    del environment["BUCKET"]
    done = subprocess.run([str(DEPLOY / "dataflow" / "score.sh")], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "BUCKET" in done.stderr


def read_cost() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cineaffect_cost", DEPLOY / "dataflow" / "cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_estimate_in_the_readme_is_what_the_script_says():
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "dataflow" / "cost.py")], capture_output=True, text=True, check=True
    )
    readme = (DEPLOY / "README.md").read_text()
    for part in done.stdout.split("\n\n"):
        assert part.strip() in readme


def test_the_estimate_by_hand():
    cost = read_cost()
    plain, gpu = cost.MACHINES
    # 3,600 films of 100 s at 480p: 100 hours of film; decoding, detector and networks on 8 processors.
    always = 1 / 34.1 + (0.0327 - 1 / 59.2) + 0.0467 + 0.0028 + 0.0011
    speed = always + 0.1109 + 0.0265 + 0.0411 * 7 / 8
    assert cost.machine_hours(plain, "480p", 360_000, faces=1) == pytest.approx(100 * speed / 8)
    assert cost.machine_hours(gpu, "480p", 360_000, faces=1) == pytest.approx(100 * always / 16)
    large = cost.machine_hours(plain, "1080p", 360_000, faces=1)
    assert large == pytest.approx(100 * (speed - 1 / 34.1 + 1 / 7.4 + 0.008) / 8)
    crowded = cost.Machine("many processors", 1000, 1, 1, 1)
    assert cost.machine_hours(crowded, "480p", 360_000, faces=1) == pytest.approx(100 * 0.005)
    assert plain.usd_an_hour(0.05, 1.0) == pytest.approx(8 * 0.05 + 32 * 0.003557 + 200 * 0.000054)


def test_the_way_to_a_hundred_dollars_by_hand():
    """10,000 films of 100 minutes, one face a second: what each step costs, and that it ends below 100 $."""
    cost, film_s = read_cost(), 10_000 * 6000
    step = {each.what: each.usd(film_s, 1.0, cost.VCPU_USD) for each in cost.STEPS}
    small, large = (cost.vcpu_s_a_film_second(cost.N2D, lines, 1.0) for lines in ("480p", "1080p"))
    hours, disk_usd = film_s * small / 8 / 3600, 200 * 0.000054
    assert step["the smaller rendition"] == pytest.approx(hours * (8 * 0.056 + 32 * 0.003557 + disk_usd))
    assert step["Dataflow's FlexRS"] == pytest.approx(hours * (0.6 * (8 * 0.056 + 32 * 0.003557) + disk_usd))
    assert step["Flink on machines of your own"] == pytest.approx(hours * (0.337968 + disk_usd))
    assert step["spot machines"] == pytest.approx(1.05 * hours * (0.118432 + disk_usd))
    assert step["spot machines, large rendition"] == pytest.approx(step["spot machines"] * large / small)
    yunet_s = 0.0467 * (1 - 7.4 / 45.1)
    assert step["spot, YuNet for MTCNN"] == pytest.approx(step["spot machines"] * (1 - yunet_s / small))
    large_usd = step["spot machines, large rendition"]
    assert step["spot, YuNet for MTCNN, large rendition"] == pytest.approx(large_usd * (1 - yunet_s / large))
    networks_s = 0.1109 * (1 - 1 / 1.95) + 0.0265 * (1 - 1 / 2.09) + 0.0411 * 7 / 8 * (1 - 1 / 1.93)
    n4d_usd = 1.05 * hours * (0.180784 + disk_usd)
    assert step["spot, bfloat16"] == pytest.approx(n4d_usd * (1 - networks_s / small))
    assert step["spot, bfloat16, YuNet"] == pytest.approx(n4d_usd * (1 - (networks_s + yunet_s) / small))
    assert step["spot, Arm"] == pytest.approx(1.05 * hours * (0.179824 + disk_usd))
    assert step["spot machines"] < 100
    without = cost.steps(10_000, 100, 0.0, cost.VCPU_USD)
    assert without.count("\n") == len(cost.STEPS) + 1
    assert all(step.known for step in cost.STEPS)


def test_the_measured_speeds_are_those_that_the_benchmark_reports():
    page, cost = (ROOT / "benchmarks" / "extraction.md").read_text(), read_cost()

    def row(section: str, title: str, column: int) -> float:
        text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
        cells = re.findall(rf"^\| {re.escape(title)} \|(.+)\|$", text, re.MULTILINE)[0]
        return float(cells.split("|")[column].split()[0])

    for title, lines in (("x264 defaults, 1080p", "1080p"), ("x264 defaults, 480p", "480p")):
        assert 1 / cost.DECODE_S[lines] == pytest.approx(row("Decoding", title, 0))
    engines = {
        "image network": cost.IMAGE_S,
        "sound network": cost.AUDIO_S,
        "face detector": cost.DETECTOR_S,
        "face network": cost.FACE_S * 8 / 7,
        "scaling": cost.SCALING_S,
        "rest of the worker": cost.REST_S,
    }
    for stage, seconds in engines.items():
        assert 1000 * seconds == pytest.approx(row("Engines", stage, 1))
    in_bfloat16 = {"image": "image network", "audio": "sound network", "face": "face network"}
    assert {name: row("bfloat16", stage, 2) for name, stage in in_bfloat16.items()} == cost.BFLOAT16
    mtcnn, yunet = (row("Faces", title, 4) for title in ("MTCNN", "YuNet 256 x 448, 0.8"))
    assert pytest.approx(yunet / mtcnn) == cost.YUNET
    its_pictures_s = 1 / row("Decoding", "his_girl_friday_6s.mp4", 0)
    assert 1000 * (cost.BESIDE_S + its_pictures_s) == pytest.approx(row("Engines", "decoding process", 1))
