"""Leaving out what TensorFlow writes at its start, in this process and its children, before any setting can stop it.

A process of its own reads standard error and passes on the rest, so that nothing is lost if another one crashes.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_START_LINE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IWE]0000 [\d:. ]+ (port|cudart_stub|cuda_platform)\.cc:"
)
_WAIT_S = 5


@contextmanager
def without_start_lines() -> Iterator[None]:
    """Leaves them out within the `with` block. Where standard error isn't the process's own (a test), does nothing."""
    try:
        is_own = sys.stderr.fileno() == 2
    except (AttributeError, io.UnsupportedOperation):
        is_own = False
    if not is_own:
        yield
        return
    own = os.dup(2)
    command = [sys.executable, "-I", __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=own, stderr=own) as passing_on:
        assert passing_on.stdin is not None
        os.dup2(passing_on.stdin.fileno(), 2)
        passing_on.stdin.close()
        # Python's own lines go straight on: a display of progress asks whether this is a terminal.
        stream = sys.stderr
        # With its error handler, which writes a path that isn't UTF-8; a new stream would refuse it.
        sys.stderr = os.fdopen(os.dup(own), "w", 1, stream.encoding, stream.errors)
        try:
            yield
        finally:
            sys.stderr.close()
            sys.stderr = stream
            os.dup2(own, 2)
            os.close(own)
            with suppress(subprocess.TimeoutExpired):
                passing_on.wait(_WAIT_S)
            # A child that is left and still holds the pipe must not hold up this one.
            passing_on.kill()


def main() -> None:
    """Passes lines of standard input on, except start lines, until nobody writes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if not _START_LINE.match(line):
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
