"""Files of fees and of baskets: YAML in which every value is text, so that no amount ever passes through a float."""

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from marketbill.cli.failure import CommandRefused

if TYPE_CHECKING:
    from marketbill.errors import Refusal

#: A longer file is no schedule.
FILE_SIZE_MAX = 2_000_000


class _Text(yaml.SafeLoader):
    """Reads every plain value as its text (`NO` is Norway, `0.30` keeps its zero); a key twice is refused."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the library declares it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _Flow(yaml.SafeDumper):
    """Writes texts that look like numbers in quotes, and amounts by currency in one line."""


def read_document(path: Path) -> object:
    """The document of a YAML (or JSON) file. Raises CommandRefused, with the line of what is no YAML."""
    try:
        if path.stat().st_size > FILE_SIZE_MAX:
            raise CommandRefused(f"{path} is larger than {FILE_SIZE_MAX:,} bytes: it is no schedule")
        text = path.read_text("utf-8")
    except OSError as error:
        raise CommandRefused(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandRefused(f"{path} is not UTF-8 text") from None
    try:
        return yaml.load(text, Loader=_Text)  # noqa: S506 - a loader of texts, lists and mappings alone
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise CommandRefused(f"{path}{where}: {error.problem or 'this is no YAML'}") from None
    except (yaml.YAMLError, RecursionError):
        raise CommandRefused(f"{path} is no YAML") from None


def document_text(document: object) -> str:
    """The document as a file of it reads."""
    return yaml.dump(document, Dumper=_Flow, sort_keys=False, allow_unicode=True, width=110)


def placed(path: Path, error: "Refusal") -> CommandRefused:
    """A refusal, with the place in the file that it is about."""
    words = error.path[1:] if error.path[:1] == ("document",) else error.path
    where = ".".join(words)
    return CommandRefused(f"{path}{f', {where}' if where else ''}: {error.message}")
