"""JSON schemas that others wrote: their references and alternatives resolved, each once, within bounds."""

from collections.abc import Mapping
from typing import Any

from mien.errors import InputError

Schema = Mapping[str, Any]
# Values in a schema, levels of it, and properties of an answer: more than anybody asks of a picture, and soon filled.
MAX_NODES, MAX_DEPTH, MAX_PROPERTIES = 5_000, 50, 20_000


class Resolver:
    """Schemas below one root; InputError when it is too large, or the answer would be.

    A schema is resolved once however often it is referred to, or alternatives of alternatives would double the work
    with every level.
    """

    def __init__(self, root: Schema) -> None:
        _check_size(root)
        self._root = root
        # By identity; the schemas given are kept as well, or another one might be made in the place of one.
        self._known: dict[int, tuple[Any, Schema]] = {}
        self._properties = 0

    def count(self, properties: int) -> None:
        """Count the properties of another object in the answer."""
        self._properties += properties
        if self._properties > MAX_PROPERTIES:
            raise InputError(f"an answer to the JSON schema would have more than {MAX_PROPERTIES} properties")

    def __call__(self, schema: Any) -> Schema:
        """A schema without references, and of several allowed ones the first that is not null, made nullable."""
        if not isinstance(schema, Mapping):
            return {}
        if id(schema) not in self._known:
            self._known[id(schema)] = schema, self._resolve(schema)
        return self._known[id(schema)][1]

    def _resolve(self, schema: Schema) -> Schema:
        if isinstance(reference := schema.get("$ref"), str):
            return self(self._at(reference))
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not isinstance(options, list):
            return schema
        resolved = [self(option) for option in options]
        chosen = next((option for option in resolved if kinds(option) != ["null"]), {})
        nullable = any(kinds(option) == ["null"] for option in resolved)
        return {**chosen, "type": [*kinds(chosen), "null"]} if nullable else chosen

    def _at(self, reference: str) -> Any:
        node: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            node = node.get(step, {}) if isinstance(node, Mapping) and step else node
        return node


def kinds(schema: Schema) -> list[str]:
    """The types that a schema allows."""
    given = schema.get("type", [])
    return [given] if isinstance(given, str) else list(given)


def _check_size(root: Schema) -> None:
    level: list[Any] = [root]
    nodes = 0
    for _ in range(MAX_DEPTH):
        nodes += len(level)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner
        if nodes + len(level) > MAX_NODES:
            raise InputError(f"the JSON schema has more than {MAX_NODES} values; ask for less")
    if level:
        raise InputError(f"the JSON schema is nested in more than {MAX_DEPTH} levels; use $defs")
