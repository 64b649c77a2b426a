"""Print the lowest versions that pyproject.toml allows, as requirements: python .ci/lowest.py [EXTRA ...]."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
wanted = [*project["dependencies"], *(one for extra in sys.argv[1:] for one in project["optional-dependencies"][extra])]
for requirement in wanted:
    print(re.sub(r">=([\w.]+).*", r"==\1", requirement))
