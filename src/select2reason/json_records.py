"""Cutting a JSON file into its records: one a line, or the items of one array, which may be pretty-printed.

Only one record is ever held whole, and none of more than 256 MB. Whether it is valid JSON is for the reader to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

import orjson

from select2reason.errors import PoolError

_BLOCK_BYTES = 4 << 20
_MOST_BYTES = 256 << 20  # of one record, some 60 million tokens: what is longer was not written as an example
_MOST_LEVELS = 100_000  # of nesting in one; a reader of JSON gives up long before
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_GAP = re.compile(rb"[ \t\r\n,]*")
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)  # a whole string, or one mark
_OPENING, _CLOSING, _COMMA, _QUOTE = b"[{", b"]}", b","[0], b'"'[0]


class Stream(Protocol):
    """What can be read to its end, block by block."""

    def read(self, size: int, /) -> bytes: ...


def cut(stream: Stream, label: str) -> Iterator[tuple[int, bytes]]:
    """Each record's place (line or item, from 0) and JSON text, in order; blank lines count but give none.

    Raises PoolError where an array breaks off, or text follows it, or a record is too long to be one.
    """
    first = stream.read(_BLOCK_BYTES).removeprefix(_BOM)
    if begins_array(first):
        return _items(first[first.index(b"[") + 1 :], stream, label)
    return _lines(first, stream, label)


def begins_array(first: bytes) -> bool:
    """Whether a file that begins so is one array. A list that fills the first of several lines is a (bad) record."""
    start = first.removeprefix(_BOM).lstrip(_SPACE)
    if not start.startswith(b"["):
        return False
    line, _, rest = start.partition(b"\n")
    return not rest.strip() or not _is_json(line)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _lines(block: bytes, stream: Stream, label: str) -> Iterator[tuple[int, bytes]]:
    pending: list[bytes] = []  # pieces of a line that runs over blocks; joined once, so a 200 MB line stays linear
    line = 0
    while block:
        if not pending and block.isspace():  # a packed file of nothing but line ends may be very long
            line, block = line + block.count(b"\n"), stream.read(_BLOCK_BYTES)
            continue
        *ended, rest = block.split(b"\n")
        for piece in ended:
            pending.append(piece)
            if any(map(bytes.strip, pending)):
                yield line, _joined(pending)
            pending.clear()
            line += 1
        if rest:
            pending.append(rest)
        _refuse_too_long(sum(map(len, pending)), f"{label} line {line + 1}")
        block = stream.read(_BLOCK_BYTES)
    if any(map(bytes.strip, pending)):
        yield line, _joined(pending)


def _refuse_too_long(held_bytes: int, where: str) -> None:
    if held_bytes > _MOST_BYTES:
        raise PoolError(f"{where} is longer than {_MOST_BYTES >> 20} MB; write one example a line, or leave it out")


def _joined(pieces: list[bytes]) -> bytes:
    """The pieces as one, which are let go of: of a long line there is enough in memory."""
    text = b"".join(pieces)
    pieces.clear()
    return text


def _items(text: bytes, stream: Stream, label: str) -> Iterator[tuple[int, bytes]]:
    at = place = 0
    while True:
        at = _end_of_gap(text, at)
        end = _end_of_item(text, at, (label, place))
        if end is None:
            held = len(text) - at
            _refuse_too_long(held, f"{label} item {place}")
            more = stream.read(min(max(_BLOCK_BYTES, held), _MOST_BYTES))  # doubling keeps a long item linear
            if not more:
                raise PoolError(f"{label}: the JSON array breaks off at item {place}; write it again, or as JSON Lines")
            text, at = text[at:] + more, 0
        elif end > at:
            yield place, text[at:end]
            at, place = end, place + 1
        elif text[at] != b"]"[0] or any(map(bytes.strip, chain([text[at + 1 :]], _rest(stream)))):
            raise PoolError(f"{label}: text follows the JSON array after item {place}; write it as JSON Lines")
        else:
            return


def _rest(stream: Stream) -> Iterator[bytes]:
    while block := stream.read(_BLOCK_BYTES):
        yield block


def _end_of_gap(text: bytes, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _end_of_item(text: bytes, start: int, where: tuple[str, int]) -> int | None:
    """Where the item at `start` ends: its comma, or the bracket that closes the array; None where more is needed."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        mark = text[token.start()]
        if mark == _QUOTE and token.end() == token.start() + 1:  # a string that the block cuts
            return None
        if depth == 0 and (mark == _COMMA or mark in _CLOSING):
            return token.start()
        depth += (mark in _OPENING) - (mark in _CLOSING)
        if depth > _MOST_LEVELS:
            raise PoolError(f"{where[0]} item {where[1]} is nested in more than {_MOST_LEVELS:,} levels; leave it out")
    return None
