"""What is sent to other processes."""

from __future__ import annotations

from typing import Any


def by_value(content: Any) -> bytes:
    """Pickled; what a script or notebook defines goes along with its code, so that no other process has to run that.

    Raises
    ------
    Exception
        If something in it cannot be sent to another process: an open file, a lock.
    """
    import cloudpickle

    return bytes(cloudpickle.dumps(content))
