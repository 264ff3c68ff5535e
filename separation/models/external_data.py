"""What an ONNX file may refer to outside of itself, found without the onnx package.

A hash covers one file. A tensor whose `external_data` names another, and a node that loads a compiled engine
(`EPContext`), would have onnxruntime read files that no hash covers. They are looked for by the wire format
itself, so that no other way of writing the same message hides them.
Sources: onnx.proto3 of onnx 1.20; https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """Which fields of a message hold messages; `outside` are those that point out of the file."""

    inner: dict[int, "Message"] = field(default_factory=dict)
    outside: dict[int, str] = field(default_factory=dict)


def _model() -> Message:
    tensor = Message(outside={13: "external_data", 14: "data_location"})
    sparse = Message({1: tensor, 2: tensor})
    attribute, node, graph = Message(), Message(outside={4: "op_type"}), Message()
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
    """Not the wire format, as far as ONNX uses it."""


def outside_of(graph: bytes) -> str:
    """In words, the first thing in an ONNX file that refers to another file; empty if nothing does."""
    try:
        return next(_outside(memoryview(graph), MODEL), "")
    except RecursionError:
        raise Malformed("messages within messages without end") from None


def _outside(data: memoryview, message: Message) -> Iterator[str]:
    for number, value in _fields(data):
        name = message.outside.get(number)
        if name == "op_type":
            if isinstance(value, memoryview) and bytes(value) in LOADERS:
                yield f"a node {bytes(value).decode()}, which loads a compiled engine"
        elif name == "external_data" or (name == "data_location" and value != DEFAULT_LOCATION):
            yield "weights in another file"
        elif number in message.inner and isinstance(value, memoryview):
            yield from _outside(value, message.inner[number])


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or the bytes of a string or message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = (tag & 0xFFFFFFFF) >> 3, tag & 7  # parsers keep 32 bits of a tag
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Malformed(f"a field of kind {kind}")
        if at + size > len(data):
            raise Malformed(f"a field of {size} bytes where {len(data) - at} are left")
        if kind == 2:
            yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    if at < len(data) and data[at] < 0x80:  # nearly all: a graph has 100,000 of them
        return data[at], at + 1
    value = 0
    for place in range(10):
        if at + place >= len(data):
            raise Malformed("a number that does not end")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & (2**64 - 1), at + place + 1
    raise Malformed("a number of more than 64 bits")
