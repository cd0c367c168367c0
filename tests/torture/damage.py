"""Whole files of every layout and format, and what can happen to their bytes."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
_TOKENS = [
    *(b"1e999", b"-1e999", b"NaN", b"Infinity", b"-0", b"9" * 400, b"1." + b"3" * 400, b"null", b"true", b"{}", b"[]"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b"\r", b"\t", b"\x0b", b"\xe2\x80\xa8"),
    *(b'{"a":' * 1_500, b"[" * 3_000, b"]" * 3_000, b"<think>", b"</think>", b'"question":', b'"\\u0000k":1,'),
]
_WORDS = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", bytes(4), bytes(8), b"\x01" * 8]


def layouts(rows: int = 40) -> dict[str, list[Row]]:
    """Rows of every layout that is known."""
    asked = [(f"What is {n} + 1?", f"Let me see.\n\nWait, {n} + 1.", f"\\boxed{{{n + 1}}}") for n in range(rows)]
    said = [(q, f"<think>\n{t}\n</think>\n\n{a}") for q, t, a in asked]
    return {
        "openr1": [
            {"problem": q, "generations": [r, r + "!"], "correctness_math_verify": [True, False], "uuid": str(n)}
            for n, (q, r) in enumerate(said)
        ],
        "messages": [
            {"messages": [turn("role", "content", "user", q), turn("role", "content", "assistant", r)]} for q, r in said
        ],
        "sharegpt": [
            {"conversations": [turn("from", "value", "human", q), turn("from", "value", "gpt", r)]} for q, r in said
        ],
        "prompt-completion": [{"prompt": q, "completion": r, "id": n} for n, (q, r) in enumerate(said)],
        "trace-answer": [{"question": q, "reasoning": t, "answer": a, "extra": {"n": 1}} for q, t, a in asked],
        "alpaca": [{"instruction": q, "input": "", "output": r} for q, r in said],
        "question-solution": [
            {"question": q, "response": r, "gold": n + 1, "category": "ab"[n % 2]} for n, (q, r) in enumerate(said)
        ],
        "chat": [{"text": f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{r}<|im_end|>\n"} for q, r in said],
    }


def turn(who: str, what: str, role: str, text: str) -> Row:
    """One turn of a chat."""
    return {who: role, what: text}


def lines(rows: Sequence[object]) -> bytes:
    """JSON Lines."""
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def text_files() -> dict[str, bytes]:
    """Each layout as JSON Lines; arrays and packed files too."""
    found = {f"{name}.jsonl": lines(rows) for name, rows in layouts().items()}
    some = layouts()["question-solution"]
    found["array.json"] = orjson.dumps(some, option=orjson.OPT_INDENT_2)
    found["bom.jsonl"] = b"\xef\xbb\xbf" + lines(some).replace(b"\n", b"\r\n")
    found["packed.jsonl.gz"] = gzip.compress(lines(some), mtime=0)
    found["packed.jsonl.zst"] = pa.compress(lines(some), codec="zstd", asbytes=True)
    return found


def table_files() -> dict[str, bytes]:
    """Parquet and Arrow in the forms that their writers have."""
    found: dict[str, bytes] = {}
    plain = pa.Table.from_pylist(
        [{**row, "tags": ["a", None], "s": {"a": 1}} for row in layouts()["question-solution"]]
    )
    chats = pa.Table.from_pylist(layouts()["messages"])
    many = pa.Table.from_pylist(layouts()["openr1"])
    views = pa.table({name: plain[name].cast(pa.string_view()) for name in ("question", "response")})
    words = plain.append_column("word", plain["category"].dictionary_encode())
    for name, table in {"plain": plain, "chats": chats, "many": many}.items():
        found[f"{name}.parquet"] = parquet(table, compression="snappy")
        found[f"{name}.zstd.parquet"] = parquet(table, compression="zstd", row_group_size=16, use_dictionary=False)
        found[f"{name}.arrow"] = _arrow(table, pa.ipc.new_file)
        found[f"{name}.stream.arrow"] = _arrow(table, pa.ipc.new_stream)
    found["bare.parquet"] = parquet(plain, compression="none", data_page_version="2.0")
    found["views.arrow"] = _arrow(views, pa.ipc.new_stream)
    found["words.arrow"] = _arrow(words, pa.ipc.new_file)
    found["packed.arrow"] = _arrow(plain, pa.ipc.new_file, compression="zstd")
    return found


def parquet(table: pa.Table, **how: Any) -> bytes:
    """A table as a Parquet file."""
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


def _arrow(table: pa.Table, new: Callable[..., Any], compression: str | None = None) -> bytes:
    out = io.BytesIO()
    with new(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=16)
    return out.getvalue()


def damaged(data: bytes, chance: random.Random, *, text: bool) -> bytes:
    """The bytes with something wrong at one place or some: in text marks of JSON, in tables words of numbers, most of
    all near the end, where Parquet and Arrow say what they hold."""
    held = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 8])):
        if len(held) < 8:
            break
        far = chance.randrange(len(held))
        at = far if text or chance.random() < 0.5 else len(held) - 1 - chance.randrange(min(len(held), 1_500))
        _hurt(held, at, chance, _TOKENS if text else _WORDS)
    return bytes(held)


def _hurt(held: bytearray, at: int, chance: random.Random, words: Sequence[bytes]) -> None:
    word, length = chance.choice(words), chance.choice([1, 4, 8, 100])
    match chance.randrange(8):
        case 0:
            held[at] ^= 1 << chance.randrange(8)
        case 1:
            held[at] = chance.choice([0, 1, 0x22, 0x7F, 0x80, 0xFF])
        case 2:
            held[at : at + len(word)] = word
        case 3:
            held[at:at] = word
        case 4:
            del held[at : at + length]
        case 5:
            held[at:at] = chance.randbytes(length)
        case 6:
            held[at:at] = held[max(0, at - 200) : at]
        case _:
            if chance.random() < 0.3:  # a file that is cut short leaves the least to look at
                del held[at:]


def lying_about_rows(data: bytes, rows: int) -> list[bytes]:
    """Parquet whose metadata gives another number of rows than the `rows` that its pages hold: every byte of the footer
    that changes what is told, and leaves the rest readable."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    found = []
    for at in (at for at in range(footer, len(data) - 8) if data[at] == 2 * rows):  # as Thrift writes a small number
        for told in (0, 2 * rows - 2, 2 * rows + 2, 1):
            lying = data[:at] + bytes([told]) + data[at + 1 :]
            try:
                if pq.ParquetFile(io.BytesIO(lying)).metadata.num_rows != rows:
                    found.append(lying)
            except (pa.ArrowException, OSError):
                continue
    return found
