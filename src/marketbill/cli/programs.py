"""The programs of a production: `marketbill api`, `marketbill worker`, `marketbill relay`."""

import asyncio
import errno
import socket
import sys
from typing import Annotated

from cyclopts import Parameter

from marketbill.cli.failure import CommandRefused

Port = Annotated[int, Parameter(help="Port; 0 takes any free one.")]
Host = Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 for all.")]
#: Connections that wait for the server's attention.
_BACKLOG = 2048


def api(*, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Serve GraphQL at /graphql, the explorer at /explorer and provider webhooks.

    Settings come from the environment (`marketbill config` lists them). Stops in order on SIGTERM or Ctrl-C.

    Example: DATABASE_URL=postgresql://... MARKETBILL_SECRET_KEY=... marketbill api --host 0.0.0.0 --port 8000
    """
    from marketbill.config import settings

    current = settings()
    listening = listen(host, port)
    from marketbill import logs
    from marketbill.services import Services
    from marketbill_graphql.app import create_app

    logs.configure(current.log_level)
    app = create_app(Services.create(current, application="marketbill-api"))
    serve(app, listening, log_level=current.log_level)


def worker() -> int:
    """Do the background work: settle charges, release money, execute transfers and payouts, sweep what is stuck.

    WORKER_PROCESSES and WORKER_THREADS say how much at once. Stops in order on SIGTERM or Ctrl-C.

    Example: BROKER_URL=redis://broker:6379/0 WORKER_THREADS=16 marketbill worker
    """
    from marketbill.config import settings
    from marketbill_workers import main

    return main.run(settings())


def relay() -> None:
    """Bring the jobs that transactions left in the outbox to the broker, and start the scheduled ones.

    Several may run at once. Stops in order on SIGTERM or Ctrl-C.

    Example: BROKER_URL=amqp://broker marketbill relay
    """
    from marketbill.config import settings
    from marketbill_workers import relay as outbox

    outbox.run(settings())


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises CommandRefused when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CommandRefused(
                f"port {port} on {host} is busy: choose another with --port (0 takes any free one)"
            ) from None
        raise CommandRefused(
            f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}"
        ) from None
    listening.set_inheritable(True)
    return listening


def serve(app: object, listening: socket.socket, *, log_level: str) -> None:
    """Serve an ASGI program on the socket until SIGTERM or Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        log_level=log_level.lower(),
        access_log=False,
        loop="auto",
        http="httptools",
        ws="none",
        timeout_graceful_shutdown=10,
        server_header=False,
    )
    host, port = listening.getsockname()[:2]
    print(f"marketbill: listening on http://{host}:{port}", file=sys.stderr, flush=True)
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
