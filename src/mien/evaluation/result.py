"""Type of a measured result."""

from typing import Any

# What a command measured, by name, as its result.json holds it: numbers, {"value", "low", "high"} for a number with its
# 95 % interval, and objects and lists of these. Each measure documents its own entries; commands add to them.
Result = dict[str, Any]
