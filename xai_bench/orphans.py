"""Workers end with the process that started them, however that one ends, and so do the processes that they started.

Every worker leads a process group. A small process beside the run holds a pipe to it: when the run is gone, even by
``kill -9``, the pipe is closed and the groups are killed. On Linux the kernel kills the worker itself, too. Where there
are no process groups, a thread of the worker waits for the end of the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import wait

HAS_GROUPS = hasattr(os, "killpg")
PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when the thread that started it ends."""
WATCH = """
import os, signal, sys
groups = set()
for line in sys.stdin.buffer:
    (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
for number in groups:
    for kill in (os.killpg, os.kill):
        try:
            kill(number, signal.SIGKILL)
        except OSError:
            pass
"""
"""What the process beside the run does: it reads the numbers of groups, and kills those that are left at the end."""


class Watch:
    """The process beside a run that kills groups of workers when the run is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, group: int) -> None:
        """Watch over a group."""
        if HAS_GROUPS and self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", WATCH],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._tell(f"+{group}\n")

    def end(self, group: int) -> None:
        """The group is gone."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """All groups are gone."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):  # It was killed: workers are watched by the kernel only.
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def kill_group(leader: int) -> None:
    """Kill what is left of a group of processes."""
    if HAS_GROUPS:
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)


def end_with_parent(*, by_thread: bool) -> None:
    """In a worker: lead a group, and end when the parent does.

    ``by_thread``: whether the kernel may take the end of the parent's thread for its end: it is the main thread.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    if not HAS_GROUPS:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()
        return
    os.setpgid(0, 0)
    if sys.platform.startswith("linux") and by_thread:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # It ended before the kernel was told.
            os._exit(1)


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
