"""The terminal: `marketbill COMMAND`. Every command is imported only when it is called, so that help is quick."""

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 when it did its work, 1 when it failed, 2 when it was called wrongly."""
    from marketbill.cli.app import run

    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))
