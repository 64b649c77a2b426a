"""The plain form of what mien answers: a row of a table, or an object of JSON."""

from typing import Any, TypeAlias

# Column, or key, to a plain value.
Record: TypeAlias = dict[str, Any]
