"""Log lines: JSON when nobody watches, never a secret, ours and the libraries' alike."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from marketbill import logs


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.configure("INFO", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_is_an_event_with_its_context(output: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(platform="plt_1"):
        structlog.get_logger("marketbill.test").info("paid", amount=1210)
    [line] = lines(output)
    assert (line["event"], line["level"], line["platform"], line["amount"]) == ("paid", "info", "plt_1", 1210)
    assert line["logger"] == "marketbill.test"
    assert line["timestamp"].endswith("Z")


def test_libraries_log_the_same_way(output: io.StringIO) -> None:
    logging.getLogger("library").warning("lost %s of %d", "one", 3)
    [line] = lines(output)
    assert (line["event"], line["level"], line["logger"]) == ("lost one of 3", "warning", "library")


def test_what_is_below_the_level_is_not_written(output: io.StringIO) -> None:
    structlog.get_logger("marketbill.test").debug("details")
    logging.getLogger("library").debug("details")
    assert lines(output) == []


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_51Habc",
        "rk_live_abc123",
        "whsec_abc",
        "pi_123_secret_456",
        "mb_01jd00000000000000000000aa_s3cr-et",
        "hunter2",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(output: io.StringIO, secret: str) -> None:
    log = structlog.get_logger("marketbill.test")
    log.info("connecting", url=f"postgresql://app:{secret}@db/marketbill", nested={"list": [{"secret_key": secret}]})
    log.info("buyer", email=secret, name=secret, token=secret)
    if secret != "hunter2":
        log.info(f"refused {secret}")
        logging.getLogger("library").warning("with %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            log.exception("failed")
    assert secret not in output.getvalue()
    assert logs.HIDDEN in output.getvalue()
