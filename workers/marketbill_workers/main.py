"""The workers' entry: the module that Dramatiq's command line is given, and the command line itself.

`marketbill worker` calls `run`; an operator may as well start `dramatiq marketbill_workers.main:set_up` with options of
his own.
"""

import asyncio
import ctypes
import signal
import sys

import dramatiq
from dramatiq import Broker, Middleware, cli

from marketbill import logs
from marketbill.config import Settings, settings
from marketbill_workers import jobs
from marketbill_workers.broker import build_broker
from marketbill_workers.runtime import Runtime

#: Milliseconds that jobs under way are given to end when the worker is asked to stop.
SHUTDOWN_MS = 20_000
_PR_SET_PDEATHSIG = 1


class EndWithParent(Middleware):
    """A worker process stops when the process that started it was killed (on Linux; elsewhere its guard sees to it)."""

    def after_process_boot(self, broker: Broker) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def set_up() -> Broker:
    """Makes the broker from the environment and declares the jobs to it. Called in each worker process."""
    chosen = settings()
    logs.configure(chosen.log_level)
    _use_uvloop()
    runtime = Runtime(chosen)
    broker = build_broker(chosen.broker_url.get_secret_value(), runtime, EndWithParent())
    jobs.declare(broker, runtime)
    dramatiq.set_broker(broker)
    return broker


def run(settings: Settings) -> int:
    """Runs worker processes until SIGTERM or SIGINT; gives the exit code. They read the settings from the environment.

    When one of them dies the others stop too, and the exit code is not 0: whoever supervises us starts us again.
    """
    logs.configure(settings.log_level)
    arguments = [
        f"{__name__}:{set_up.__name__}",
        *("--processes", str(settings.worker_processes)),
        *("--threads", str(settings.worker_threads)),
        *("--worker-shutdown-timeout", str(SHUTDOWN_MS)),
        "--path",  # none: nothing is imported from the working directory
        "--skip-logging",
    ]
    return int(cli.main(cli.make_argument_parser().parse_args(arguments)) or 0)


def _use_uvloop() -> None:
    try:
        import uvloop
    except ImportError:  # not on this system; asyncio's own loop serves
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
