"""marketbill's API as a client sees it: the documents of `graphql/operations`, sent over HTTP with a key."""

from functools import cache
from pathlib import Path
from typing import Any, Self

import aiohttp

_HERE = Path(__file__).resolve().parent
_SECONDS_MAX = 60.0


class OperationFailed(Exception):
    """The API refused an operation, or did not answer; the text says why."""


class Api:
    """The API at one address, seen with one key; use it as an async context manager, or `as_` of one that is open."""

    def __init__(self, url: str, key: str, session: aiohttp.ClientSession | None = None) -> None:
        self._url = url
        self._key = key
        self._session = session

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def as_(self, key: str) -> "Api":
        """The same API with another key."""
        return Api(self._url, key, self._session)

    async def ask(self, operation: str, **variables: Any) -> Any:
        """What the operation's only root field answers. Raises OperationFailed."""
        if self._session is None:
            raise RuntimeError("use it as an async context manager")
        try:
            async with self._session.post(
                f"{self._url}/graphql",
                json={"query": document(operation), "variables": variables},
                headers={"authorization": f"Bearer {self._key}"},
            ) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OperationFailed(
                f"{operation}: the API at {self._url} does not answer ({type(error).__name__})"
            ) from error
        if answer.get("errors"):
            raise OperationFailed(f"{operation}: {answer['errors'][0]['message']}")
        return next(iter(answer["data"].values()))

    async def do(self, operation: str, **fields: Any) -> Any:
        """The payload of a mutation (or of a query with an `input`). Raises OperationFailed when it has errors."""
        payload = await self.ask(operation, input=fields)
        if payload["errors"]:
            error = payload["errors"][0]
            where = ".".join(error["path"])
            raise OperationFailed(f"{operation}: {where + ': ' if where else ''}{error['message']}")
        return payload


@cache
def document(operation: str) -> str:
    """The text of an operation, by its file's name."""
    checkout = _HERE.parents[2] / "graphql" / "operations"
    folder = checkout if checkout.is_dir() else _HERE / "_operations"
    return (folder / f"{operation}.graphql").read_text()
