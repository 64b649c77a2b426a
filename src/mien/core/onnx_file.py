"""Look into an ONNX file before it is opened: does it name other files, and what does it say of itself?

Tensors may lie in other files, which ONNX Runtime reads from wherever the program was started. Nobody expects that of
the file that they give, so it is refused. Only what can hold a tensor is walked, so no ONNX library is needed; field
numbers are those of onnx.proto.
"""

from collections.abc import Iterator, Mapping

from mien.errors import ModelError

# Message -> field number -> message in it.
_PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_METADATA, _KEY, _VALUE = 14, 1, 2
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 100
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check(model: bytes) -> None:
    """Raise ModelError when a model keeps tensors in other files, or is no ONNX file at all."""
    try:
        external = any(_external(memoryview(model), "model", 0))
    except (IndexError, ValueError) as error:
        raise ModelError(f"not an ONNX model that can be opened: {error or 'it is cut off'}") from error
    if external:
        raise ModelError(
            "the model keeps weights in other files, which mien does not open; save it as one file, with "
            "onnx.save(model, path, save_as_external_data=False)"
        )


def metadata(model: bytes) -> dict[str, str]:
    """What a model says of itself; empty for a file that is no ONNX model."""
    entries: dict[str, str] = {}
    try:
        for field, entry in _fields(memoryview(model)):
            if field == _METADATA and isinstance(entry, memoryview):
                parts = {key: bytes(v).decode() for key, v in _fields(entry) if isinstance(v, memoryview)}
                entries[parts.get(_KEY, "")] = parts.get(_VALUE, "")
    except (IndexError, ValueError):
        return {}
    return entries


def with_metadata(model: bytes, entries: Mapping[str, str]) -> bytes:
    """The same model with more entries: fields of a message may be added at its end."""
    return model + b"".join(
        _field(_METADATA, _field(_KEY, key.encode()) + _field(_VALUE, value.encode())) for key, value in entries.items()
    )


def _field(number: int, value: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def _number(value: int) -> bytes:
    """A varint."""
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _number(rest) if rest else bytes([low])


def _external(message: memoryview, kind: str, depth: int) -> Iterator[bool]:
    """For every tensor in a message, whether it lies elsewhere."""
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deep")
    for field, value in _fields(message):
        if kind == "tensor":
            yield field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)
        elif (part := _PARTS[kind].get(field)) and isinstance(value, memoryview):
            yield from _external(value, part, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field numbers and values of a protobuf message; IndexError or ValueError when it is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        length, at = {_FIXED64: (8, at), _FIXED32: (4, at)}.get(wire) or _length(message, at, wire)
        if at + length > len(message):
            raise ValueError("it is cut off")
        if wire == _BYTES:
            yield key >> 3, message[at : at + length]
        at += length


def _length(message: memoryview, at: int, wire: int) -> tuple[int, int]:
    if wire != _BYTES:
        raise ValueError("it is no protobuf")
    return _varint(message, at)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("it is no protobuf")
