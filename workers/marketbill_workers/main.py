"""The workers' entry: the module that Dramatiq's command line is given, and the command line itself.

`marketbill worker` calls `run`; an operator may as well start `dramatiq marketbill_workers.main:set_up` with options of
his own.
"""

import asyncio
import ctypes
import os
import signal
import sys
import threading
from types import FrameType

import dramatiq
from dramatiq import Broker, Middleware, cli

from marketbill import logs
from marketbill.config import Settings, settings
from marketbill_workers import jobs
from marketbill_workers.broker import build_broker
from marketbill_workers.runtime import Runtime

#: Milliseconds that jobs under way are given to end when the worker is asked to stop.
SHUTDOWN_MS = 20_000
#: Milliseconds after which a worker process that was asked to stop is gone, whatever it is doing.
END_MS = 30_000
_PR_SET_PDEATHSIG = 1


class OrderlyEnd(Middleware):
    """How a worker process ends: when it is asked to, once, within a limit, and when its parent was killed.

    Dramatiq leaves at once on a second SIGTERM, and then the thread of the event loop keeps the process alive for ever.
    But two are the rule when whoever stops us asks the whole process group (systemd does): the parent passes on its
    own. So only the first counts, and a process that has not ended in time is ended here.
    """

    def after_process_boot(self, broker: Broker) -> None:
        if sys.platform == "linux":  # elsewhere the guard of whoever started the parent sees to it
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        stop = signal.getsignal(signal.SIGTERM)
        asked = False

        def stop_once(number: int, frame: FrameType | None) -> None:
            nonlocal asked
            if not asked and callable(stop):
                asked = True
                limit = threading.Timer(END_MS / 1000, os._exit, args=(1,))
                limit.daemon = True
                limit.start()
                stop(number, frame)

        signal.signal(signal.SIGTERM, stop_once)


def set_up() -> Broker:
    """Makes the broker from the environment and declares the jobs to it. Called in each worker process."""
    chosen = settings()
    logs.configure(chosen.log_level)
    _use_uvloop()
    runtime = Runtime(chosen)
    broker = build_broker(chosen.broker_url.get_secret_value(), runtime, OrderlyEnd())
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
