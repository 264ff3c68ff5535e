"""Finds references to other files in an ONNX file, without the onnx package.

A hash covers one file. A tensor whose `external_data` names another file, and a node that loads a compiled
engine (`EPContext`), would make onnxruntime read files that no hash covers. The search parses protobuf's wire
format itself, so that no unusual encoding of the same message can hide a reference.
Sources: onnx.proto3 of onnx 1.20; https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """A protobuf message type: field number -> type of the messages in it, and the fields that may refer to
    another file, with their names."""

    inner: dict[int, "Message"] = field(default_factory=dict)
    references: dict[int, str] = field(default_factory=dict)


def _model() -> Message:
    tensor = Message(references={13: "external_data", 14: "data_location"})
    sparse = Message({1: tensor, 2: tensor})
    attribute, node, graph = Message(), Message(references={4: "op_type"}), Message()
    attribute.inner.update({5: tensor, 6: graph, 10: tensor, 11: graph, 22: sparse, 23: sparse})
    node.inner[5] = attribute
    graph.inner.update({1: node, 5: tensor, 15: sparse})
    function = Message({7: node, 11: attribute})
    training = Message({1: graph, 2: graph})
    return Message({7: graph, 20: training, 25: function})


MODEL = _model()
DEFAULT_LOCATION = 0
LOADERS = (b"EPContext",)


class Malformed(ValueError):
    """The bytes are not protobuf as ONNX uses it."""


def external_reference(graph: bytes) -> str:
    """The first reference to another file in an ONNX file, described for an error text; empty if none."""
    try:
        return next(_references(memoryview(graph), MODEL), "")
    except RecursionError:
        raise Malformed("messages nested too deeply") from None


def _references(data: memoryview, message: Message) -> Iterator[str]:
    for number, value in _fields(data):
        name = message.references.get(number)
        if name == "op_type":
            if isinstance(value, memoryview) and bytes(value) in LOADERS:
                yield f"a node {bytes(value).decode()}, which loads a compiled engine"
        elif name == "external_data" or (name == "data_location" and value != DEFAULT_LOCATION):
            yield "weights in another file"
        elif number in message.inner and isinstance(value, memoryview):
            yield from _references(value, message.inner[number])


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or the bytes of a string or message."""
    offset = 0
    while offset < len(data):
        tag, offset = _varint(data, offset)
        number, wire_type = (tag & 0xFFFFFFFF) >> 3, tag & 7  # parsers use 32 bits of a tag
        if wire_type == 0:
            value, offset = _varint(data, offset)
            yield number, value
            continue
        if wire_type == 2:
            size, offset = _varint(data, offset)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise Malformed(f"a field of wire type {wire_type}")
        if offset + size > len(data):
            raise Malformed(f"a field of {size} bytes where {len(data) - offset} are left")
        if wire_type == 2:
            yield number, data[offset : offset + size]
        offset += size


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    """The integer at `offset`, seven bits per byte, and the offset after it."""
    if offset < len(data) and data[offset] < 0x80:  # one byte, as nearly all of a graph's 100,000
        return data[offset], offset + 1
    value = 0
    for index in range(10):
        if offset + index >= len(data):
            raise Malformed("a number that does not end")
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), offset + index + 1
    raise Malformed("a number of more than 64 bits")
