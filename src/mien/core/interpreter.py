"""Another Python that runs a module of mien, with the import path of this one."""

import json
import sys


def command(module: str) -> list[str]:
    """The command that calls `main()` of a module in a new process."""
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    return [sys.executable, "-c", code, json.dumps(sys.path)]
