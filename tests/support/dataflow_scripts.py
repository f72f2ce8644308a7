"""The scripts of `deploy/dataflow`, run with a program in place of `cineaffect` that writes down what it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SETTINGS = {"PROJECT": "some-project", "REGION": "europe-west4", "BUCKET": "some-bucket", "IMAGE": "some/image:1"}


def arguments_of(script: str, folder: Path, **settings: str) -> list[str]:
    """What `deploy/dataflow/SCRIPT.sh` gives it, command first, with `SETTINGS` and `settings` in the environment."""
    program, written = folder / "cineaffect", folder / "arguments.json"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nopen({str(written)!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
    )
    program.chmod(0o755)
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **SETTINGS, **settings}
    subprocess.run([str(DEPLOY / "dataflow" / f"{script}.sh"), "--num_workers=2"], env=environment, check=True)
    return json.loads(written.read_text())
