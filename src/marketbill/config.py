"""Settings, all from the environment. `marketbill config` prints them with the secrets hidden."""

from functools import cache

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(hide_input_in_errors=True, extra="ignore")

    database_url: SecretStr = Field(description="PostgreSQL of the app: postgresql://user:password@host/database")
    database_admin_url: SecretStr | None = Field(
        default=None, description="Owner of the schema, for `marketbill migrate`; defaults to DATABASE_URL"
    )
    broker_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"), description="redis://, rediss://, unix://, amqp:// or amqps://"
    )
    marketbill_secret_key: SecretStr = Field(
        min_length=32, description="Master key: encrypts provider credentials, signs tokens, peppers API key hashes"
    )
    marketbill_bootstrap_key: SecretStr | None = Field(
        default=None, min_length=24, description="Allows platformCreate; unset it and no platform can be created"
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000", description="Where providers and browsers reach the API; webhooks go there"
    )
    sandbox_url: str | None = Field(
        default=None, description="The sandbox provider; ignored when STRIPE_SECRET_KEY is set"
    )
    stripe_secret_key: SecretStr | None = Field(
        default=None, description="Uses Stripe itself and makes the sandbox unreachable"
    )
    vat_check_url: str = Field(
        default="",
        description="REST address of VIES, the Commission's register of VAT numbers"
        " (https://ec.europa.eu/taxation_customs/vies/rest-api); empty: numbers are checked by form and digits alone",
    )
    database_pool_size: int = Field(default=8, ge=1, le=200, description="Connections of each process")
    worker_threads: int = Field(default=8, ge=1, le=256, description="Jobs under way at once in a worker process")
    worker_processes: int = Field(default=1, ge=1, le=64, description="Worker processes of `marketbill worker`")
    ecb_rates_url: str | None = Field(
        default=None,
        description="Folder of the ECB's reference rates: https://www.ecb.europa.eu/stats/eurofxref; unset, the rates"
        " end where the installed history does",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Bearer token of GET /metrics (Prometheus); unset, there is no such page",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    @property
    def provider_base_url(self) -> str | None:
        """The sandbox's address, or None for Stripe itself. A Stripe key always wins over a sandbox address."""
        return None if self.stripe_secret_key else self.sandbox_url

    @property
    def live(self) -> bool:
        """True when a live Stripe key is set: destructive demo commands refuse to run."""
        key = self.stripe_secret_key.get_secret_value() if self.stripe_secret_key else ""
        return key.startswith(("sk_live_", "rk_live_"))


class SettingsMissing(Exception):
    """One or more settings are missing or wrong; the message names each one."""


@cache
def settings() -> Settings:
    """The process's settings. Raises SettingsMissing with a line for each setting that is missing or wrong."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        # A secret's length is counted in "items" otherwise.
        told = [(item["loc"], item["msg"].replace(" items", " characters")) for item in error.errors()]
        lines = [f"{'.'.join(map(str, where)).upper()}: {problem}" for where, problem in told]
        raise SettingsMissing("; ".join(lines)) from None
