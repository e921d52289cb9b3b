"""The image and the compose file name exact versions, run as nobody special, and ask for every secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketbill.config import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_is_built_in_stages_and_runs_without_privileges() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.12\.\d+-slim-\w+", image) for image, _ in stages)
    assert re.search(r"^USER \d+$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE


def test_the_image_gets_everything_it_copies() -> None:
    admitted = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    assert copied == admitted
    assert all((ROOT / name).exists() for name in copied)


def test_every_image_has_a_version() -> None:
    images = re.findall(r"^    image: (\S+)$", COMPOSE, re.MULTILINE)
    assert {image.partition(":")[0] for image in images} == {"postgres", "rabbitmq"}
    assert all(re.fullmatch(r"\w+:\d+\.\d+\S*", image) for image in images)


@pytest.mark.parametrize(
    "secret", ["POSTGRES_PASSWORD", "MARKETBILL_LOGIN_PASSWORD", "RABBITMQ_PASSWORD", "MARKETBILL_SECRET_KEY"]
)
def test_a_missing_secret_is_a_clear_error(secret: str) -> None:
    asked = re.findall(rf"\$\{{{secret}([^}}]*)\}}", COMPOSE)
    assert any(re.fullmatch(rf":\?set {secret}, .{{10,}}", rest) for rest in asked)
    assert not any(rest.startswith(":-") for rest in asked)


def test_every_required_setting_is_given() -> None:
    shared = COMPOSE.partition("x-settings:")[2].partition("services:")[0]
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert required
    assert required <= set(re.findall(r"^  ([A-Z_]+):", shared, re.MULTILINE))
    given = set(re.findall(r"^  ([A-Z_]+):", shared, re.MULTILINE))
    assert given <= {name.upper() for name in Settings.model_fields}


def test_the_programs_wait_for_what_they_need() -> None:
    for program in ("api", "worker", "relay"):
        block = re.search(rf"^  {program}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
        assert block is not None
        assert "migrate: { condition: service_completed_successfully }" in block.group(1)
        assert "rabbitmq: { condition: service_healthy }" in block.group(1)
        assert f'command: ["{program}"' in block.group(1)
