"""The stage of the demo's stories: a machine that runs, as a story sees it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rich.console import Console

from marketbill.config import Settings
from marketbill.demo.api import Api
from marketbill.demo.day import Day
from marketbill.demo.sandbox import SandboxControl
from marketbill.demo.worked_story import WorkedStory
from marketbill.reconciliation.check import Check
from marketbill.reconciliation.verify import is_proven
from marketbill.services import Services


@dataclass(frozen=True, slots=True)
class Stage:
    """What every story needs; each is played once, on a machine of its own."""

    services: Services
    api: Api
    sandbox: SandboxControl
    console: Console

    def day(self) -> Day:
        return Day(self.services, self.api, self.sandbox, self.console)

    def worked_story(self) -> WorkedStory:
        return WorkedStory(self.services, self.api, self.sandbox, self.console)


@asynccontextmanager
async def open_stage(
    api_url: str, sandbox_url: str, environment: Mapping[str, str], console: Console
) -> AsyncGenerator[Stage]:
    """A stage on a machine that runs; `environment` holds its settings."""
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    services = Services.create(settings, application="marketbill-demo")
    try:
        async with Api(api_url, environment["MARKETBILL_BOOTSTRAP_KEY"]) as api, SandboxControl(sandbox_url) as sandbox:
            yield Stage(services, api, sandbox, console)
    finally:
        await services.close()


def proven(checks: list[Check]) -> bool:
    """Whether a story's books hold."""
    return is_proven(checks)
