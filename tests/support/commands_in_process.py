"""Commands that the product starts as processes of their own, run in the test's process instead.

A child process imports TensorFlow, Beam and tf.Transform, which takes 8 to 15 s of a core. A test that asks what the
commands do, and not whether they are processes, has no need of that.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

CLI = "beam_pipelines.cli"


@contextlib.contextmanager
def commands_in_this_process() -> Iterator[list[list[str]]]:
    """Runs each `python -m beam_pipelines.cli COMMAND …` in this process, to its end, at the place where it is started.

    Yields:
        The commands so far.
    """
    started: list[list[str]] = []

    class Process(subprocess.Popen):  # type: ignore[type-arg]
        """A process, or a command that has ended already."""

        def __init__(self, arguments: Any, *others: Any, **options: Any):
            self._command = command_of(arguments)
            if self._command is None:
                super().__init__(arguments, *others, **options)
                return
            started.append(self._command)
            self.args, self.pid = arguments, 0
            self.stdin = self.stdout = self.stderr = None
            self.returncode, self._told = run_command(self._command, options)

        def communicate(self, *arguments: Any, **options: Any) -> Any:
            return super().communicate(*arguments, **options) if self._command is None else self._told

        def wait(self, timeout: float | None = None) -> int:
            return super().wait(timeout) if self._command is None else self.returncode

        def poll(self) -> int | None:
            return super().poll() if self._command is None else self.returncode

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Process)
        yield started


def command_of(arguments: Any) -> list[str] | None:
    """COMMAND and what follows it, where these are arguments that start the command line; else None."""
    if not isinstance(arguments, list | tuple) or CLI not in arguments or arguments[0] != sys.executable:
        return None
    return [str(argument) for argument in arguments[arguments.index(CLI) + 1 :]]


def run_command(command: Sequence[str], options: dict[str, Any]) -> tuple[int, tuple[Any, Any]]:
    """The exit code of a command, and what it wrote to the outputs that its starter reads."""
    from beam_pipelines import cli

    written: list[io.StringIO | None] = []
    with contextlib.ExitStack() as stack:
        for name, redirect in (("stdout", contextlib.redirect_stdout), ("stderr", contextlib.redirect_stderr)):
            read = options.get(name) == subprocess.PIPE
            written.append(io.StringIO() if read else None)
            if written[-1] is not None:
                stack.enter_context(redirect(written[-1]))
        code = cli.main(command)
    texts = [None if text is None else text.getvalue() for text in written]
    as_text = any(options.get(name) for name in ("text", "universal_newlines", "encoding"))
    return code, tuple(text if text is None or as_text else text.encode() for text in texts)  # type: ignore[return-value]
