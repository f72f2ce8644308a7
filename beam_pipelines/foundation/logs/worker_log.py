"""Importing this in a worker process of Beam gives its log the form of `structured_log`.

Beam imports it at the start of every worker process of a cluster when `--beam_plugins` names it
(`driver_log.PLUGIN_OPTION`), after it has attached its own handler, which sends messages to the runner.
"""

from __future__ import annotations

from beam_pipelines.foundation.logs.structured_log import format_worker_log

format_worker_log()
