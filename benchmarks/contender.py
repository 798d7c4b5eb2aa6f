"""The process of one contender: ``python -m benchmarks.contender MODULE FUNCTION OPTIONS`` prints what it measured as JSON."""

import json
import sys
from importlib import import_module


def main() -> None:
    """Run the function that the command line names; its findings are the last line of the output."""
    module, function, options = sys.argv[1:]
    found = getattr(import_module(f"benchmarks.{module}"), function)(**json.loads(options))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
