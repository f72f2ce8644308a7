"""A module whose import gives the log of a Beam worker process the form of `structured_log`.

If `--beam_plugins` names this module (`driver_log.PLUGIN_OPTION`), Beam imports it at the start of every worker process
of a cluster, after it has attached its own handler, which sends messages to the runner.
"""

from __future__ import annotations

from beam_pipelines.foundation.logs.structured_log import format_worker_log

format_worker_log()
