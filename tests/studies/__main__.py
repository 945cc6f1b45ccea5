"""`just study NAME [ARGUMENTS]`: long studies; each prints a table that is committed under docs/studies."""

import importlib
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    if not arguments or arguments[0] not in names:
        sys.exit(f"usage: just study NAME [ARGUMENTS]; there are: {', '.join(names)}")
    importlib.import_module(f"tests.studies.{arguments[0]}").main(*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
