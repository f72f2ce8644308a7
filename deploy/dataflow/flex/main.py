"""The program of a Dataflow Flex Template: it reads the parameters and calls the job that is installed in the image.

    python main.py --job=score --records=gs://bucket/features --model=gs://bucket/exports --output=gs://bucket/curves \\
        --runner=DataflowRunner --template_location=gs://bucket/graph …

Dataflow's launcher passes every parameter as `--name=value`, together with its own options, and starts the job from the
graph that this program writes to `template_location`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from beam_pipelines import extract, prepare, score

JOBS = {"extract": extract.main, "prepare": prepare.main, "score": score.main}
SWITCHES = ("retry_failed", "force")
"""The options of extract that take no value; as parameters of a template they are `true` or `false`."""

# The options of every job, and further ones of extract: those of deploy/dataflow/options.sh and extract.sh.
DEFAULTS = {"sdk_location": "container", "experiments": "use_runner_v2", "number_of_worker_harness_threads": "1"}
# With a GPU one process with a thread per processor, as in extract.sh: one copy of the networks, whose batches films
# share.
ACCELERATED = {
    "experiments": "use_runner_v2,no_use_multiple_sdk_containers",
    "number_of_worker_harness_threads": "16",
    "machine_type": "n1-standard-16",
}
MACHINES = {
    "extract": {"machine_type": "n2-standard-8", "disk_size_gb": "200"},
    "prepare": {"machine_type": "n2-standard-4"},
    "score": {"machine_type": "n2-standard-4"},
}


def job_and_arguments(parameters: Sequence[str]) -> tuple[str, list[str]]:
    """The job's name and its command line, from the launcher's parameters.

    Raises:
        SystemExit: if `job` is absent or none of the three.
    """
    job, arguments = "", []
    for parameter in parameters:
        name, _, value = parameter.removeprefix("--").partition("=")
        if name == "job":
            job = value
        elif name in SWITCHES:
            arguments += [f"--{name.replace('_', '-')}"] if value == "true" else []
        elif name == "log_format":
            arguments.append(f"--log-format={value}")
        else:
            arguments.append(parameter)
    if job not in JOBS:
        raise SystemExit(f"the parameter job is '{job}'; it must be one of {', '.join(JOBS)}")
    given = {name: value for name, _, value in (word.removeprefix("--").partition("=") for word in arguments)}
    defaults = {**DEFAULTS, **MACHINES[job]}
    if "worker_accelerator" in given.get("dataflow_service_options", ""):
        defaults |= ACCELERATED
    return job, [*arguments, *(f"--{name}={value}" for name, value in defaults.items() if name not in given)]


def main() -> int:
    """Runs the job's own main, which writes the graph, and returns its exit code."""
    job, arguments = job_and_arguments(sys.argv[1:])
    return JOBS[job](arguments)


if __name__ == "__main__":
    sys.exit(main())
