"""A process of its own that ends our processes when their owner is gone, however it died.

Run by path with the bare interpreter (no site-packages), so it costs about 8 MB. Its standard input is a pipe whose
only writer is the owner:

    + PID SIGNAL FORCE GRACE   take care of PID: at the end send it SIGNAL, and after GRACE seconds FORCE to its group
    - PID                      PID has ended and was reaped

The end of the pipe means that the owner is gone. This works on every Unix; on Linux the kernel's parent-death signal
comes first.
"""

import contextlib
import os
import signal
import sys
import time

_POLL_S = 0.05


def _send(deliver, pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        deliver(pid, number)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def watch() -> None:
    """Read the pipe to its end, then end every process that is still in care."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wards = {}
    for line in sys.stdin.buffer:
        word, *numbers = line.split()
        if word == b"+":
            pid, gentle, force, grace_s = numbers
            wards[int(pid)] = (int(gentle), int(force), float(grace_s))
        else:
            wards.pop(int(numbers[0]), None)
    for pid, (gentle, _, _) in wards.items():
        _send(os.kill, pid, gentle)
    started = time.monotonic()
    while wards:
        for pid, (_, force, grace_s) in list(wards.items()):
            if not _alive(pid) or time.monotonic() - started > grace_s:
                _send(os.killpg, pid, force)
                del wards[pid]
        time.sleep(_POLL_S)


if __name__ == "__main__":
    watch()
