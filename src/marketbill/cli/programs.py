"""The programs of a production: `marketbill api`, `marketbill worker`, `marketbill relay`."""

import asyncio
import errno
import socket
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from marketbill.cli.failure import CommandRefused, WrongUse

if TYPE_CHECKING:
    from marketbill.config import Settings

Port = Annotated[int, Parameter(help="Port; 0 takes any free one.")]
Host = Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 for all.")]
#: Connections that wait for the server's attention.
_BACKLOG = 2048
_PORT_MAX = 65_535
#: So long a program's start waits for the database before it says that it is not there.
_PROBE_S = 3.0


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
    tell_of_database(current, until_then="serving 503")
    app = create_app(Services.create(current, application="marketbill-api"))
    serve(app, listening, log_level=current.log_level)


def worker() -> int:
    """Do the background work: settle charges, release money, execute transfers and payouts, sweep what is stuck.

    WORKER_PROCESSES and WORKER_THREADS say how much at once. Stops in order on SIGTERM or Ctrl-C.

    Example: BROKER_URL=redis://broker:6379/0 WORKER_THREADS=16 marketbill worker
    """
    from marketbill.config import settings
    from marketbill_workers import main

    current = settings()
    tell_of_database(current, until_then="waiting")
    return main.run(current)


def relay() -> None:
    """Bring the jobs that transactions left in the outbox to the broker, and start the scheduled ones.

    Several may run at once. Stops in order on SIGTERM or Ctrl-C.

    Example: BROKER_URL=amqp://broker marketbill relay
    """
    from marketbill.config import settings
    from marketbill_workers import relay as outbox

    current = settings()
    tell_of_database(current, until_then="waiting")
    outbox.run(current)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises CommandRefused when the port is taken or the address is not ours."""
    check_port(port, option="--port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise CommandRefused(
                f"port {port} on {host} is busy: choose another with --port (0 takes any free one)"
            ) from None
        raise CommandRefused(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    listening.set_inheritable(True)
    return listening


def check_port(port: int, *, option: str) -> None:
    """Raises WrongUse for a number that is no port."""
    if not 0 <= port <= _PORT_MAX:
        raise WrongUse(f"{option} {port} is no port: ports are 0 to {_PORT_MAX} (0 takes any free one)")


def tell_of_database(settings: "Settings", *, until_then: str) -> None:
    """One line on the error stream when the database cannot be reached now; the program starts all the same.

    Raises NotADatabase when the address is none.
    """
    from sqlalchemy.engine import make_url

    from marketbill.db import async_url

    url = settings.database_url.get_secret_value()
    address = make_url(async_url(url))
    reason = asyncio.run(_database_trouble(url))
    if reason is not None:
        where = f"{address.host or address.query.get('host') or 'localhost'}:{address.port or 5432}"
        line = f"the database cannot be reached ({where}): {reason}; {until_then} until it can"
        print(f"marketbill: {line}", file=sys.stderr, flush=True)


async def _database_trouble(url: str) -> str | None:
    from marketbill.db import Database

    database = Database(url, pool_size=1, application="marketbill-start")
    try:
        async with asyncio.timeout(_PROBE_S), database.system():
            return None
    except TimeoutError:
        return f"no answer in {_PROBE_S:.0f} seconds"
    except Exception as error:
        cause = error.__cause__ or error
        strerror = cause.strerror if isinstance(cause, OSError) else None
        return " ".join((strerror or str(cause) or type(cause).__name__).split())[:200]
    finally:
        await database.dispose()


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
