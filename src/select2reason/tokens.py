"""Tokenizers: the built-in Qwen2.5 one, any tokenizer.json, or a Hub id; counting and encoding whole columns.

gigatoken does the work where it can load the vocabulary; what it refuses goes to Hugging Face `tokenizers`, which
gives the same counts some forty times slower. Nothing is downloaded unless a Hub id is named.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from select2reason import memory, vocabulary
from select2reason.cores import cores
from select2reason.errors import UsageError, first_line
from select2reason.frames import taken_over
from select2reason.utf8 import Bytes
from select2reason.vocabulary import BUILTIN, SPECIAL_TOKENS, vocabulary_file

if TYPE_CHECKING:
    import gigatoken
    import tokenizers
    from numpy.typing import NDArray

_SPECIALS = f"({'|'.join(map(re.escape, SPECIAL_TOKENS))})"
_STRUCK = ">\u0338"  # what NFC would join where a special token ends
_FRESH_AFTER_BYTES = 1 << 30  # gigatoken 0.10 keeps every distinct word it meets: a fresh one bounds the memory
_GROWN_BYTES = 1 << 29  # likewise, where the process has grown so much since: by words that never come again, say
_KEPT_AT_REST = 448 << 20  # of what the process has in use by then: writing, which follows, has little use for it
_HIGH_BYTES = 8  # that a sign from U+0300 on counts for: a clause of Chinese is one word, which hardly comes again
_CHANGED_BY_NFC = (  # spans with every code point that NFC may change: marks, singletons, Hangul parts; few others
    (0x300, 0x387), (0x483, 0x489), (0x591, 0x5C7), (0x610, 0x61A), (0x64B, 0x670), (0x6D6, 0x6ED), (0x711, 0x1CFF),
    (0x1DC0, 0x1DFF), (0x1F71, 0x2001), (0x20D0, 0x20F0), (0x2126, 0x212B), (0x2329, 0x232A), (0x2ADC, 0x2ADC),
    (0x2CEF, 0x2CF1), (0x2D7F, 0x2D7F), (0x2DE0, 0x2DFF), (0x302A, 0x302F), (0x3099, 0x309A), (0xA66F, 0xABED),
    (0xF900, 0xFB4E), (0xFE20, 0xFE2F), (0x101FD, 0x1D244), (0x1DA00, 0x1EFFF), (0x2F800, 0x2FA1D),
)  # fmt: skip
_SAME_COUNTS = (  # what a tokenizer must count alike in both libraries before gigatoken is trusted with it
    "Wait, 12345x + 3 = 7?\n\n  So  x \t= 1/3.\n\n\n(But maybe\u00a0not.)\r\n",
    "等等，也许 nai\u0308ve \ufb01 <|im_end|> <think>\n𝑥² ≤ √2</think> it's 'LL",
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of several texts laid end to end; text i is ids[offsets[i]:offsets[i + 1]]."""

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]


class Tokenizer(Protocol):
    """What the program asks of a tokenizer. No special tokens are added; a null text counts as empty."""

    @property
    def digest(self) -> str:
        """Names the vocabulary and its rules: equal digests give equal counts."""
        ...

    @property
    def cuts_at_newlines(self) -> bool:
        """Whether counts are additive over cuts between a line break and a non-space (METHOD 9.7)."""
        ...

    def count(self, texts: pl.Series) -> NDArray[np.uint32]:
        """Tokens of each text, in order."""
        ...

    def encode(self, texts: pl.Series | Bytes) -> Encoded:
        """Token ids of each text, in order."""
        ...

    def wake(self) -> None:
        """Begin to load, beside the caller, what the first call needs."""
        ...

    def rest(self) -> None:
        """Let go of the memory that can be filled again; the next call does so."""
        ...


def load_tokenizer(name: str = BUILTIN) -> Tokenizer:
    """Open `builtin` (Qwen2.5), a tokenizer.json or the folder that holds one, or a Hub id.

    Raises UsageError where the name leads to no tokenizer.
    """
    if name == BUILTIN:
        return _builtin()
    path = Path(name).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return _from_json(file)
    if path.exists() or name.count("/") != 1 or path.suffix == ".json":
        raise UsageError(f"no tokenizer.json at {name}; give a tokenizer.json, its folder, a Hub id or 'builtin'")
    return _from_json(_from_hub(name))


class FastTokenizer:
    """gigatoken over a vocabulary that it loads; normalises to NFC where the text is not in that form yet.

    A gigatoken lets one thread in at a time, remembers what each thread has met apart, and its own threads cost half as
    much again as they bring. So each works on a thread of its own here, for all the threads that call.
    """

    def __init__(self, load: Callable[[], gigatoken.Tokenizer], *, digest: str, nfc: bool, cuts: bool) -> None:
        self.digest = digest
        self.cuts_at_newlines = cuts
        self._load = load
        self._nfc = nfc
        self._workers = ThreadPoolExecutor(max(1, cores() // 2), "tokenizer")  # the other half prepares what they count
        self._own = threading.local()

    def count(self, texts: pl.Series) -> NDArray[np.uint32]:
        """Tokens of each text, in order."""
        return np.diff(self.encode(texts).offsets).astype(np.uint32)

    def encode(self, texts: pl.Series | Bytes) -> Encoded:
        """Token ids of each text, in order."""
        if not len(texts):
            return Encoded(np.empty(0, np.uint32), np.zeros(1, np.int64))
        held = texts if isinstance(texts, Bytes) else Bytes.of(texts)
        array = held.array
        if self._nfc and len(rows := _maybe_not_nfc(held)):
            whole = taken_over(array)
            array = Bytes.of(whole.scatter(rows, _in_nfc(whole[rows]))).array
        return self._workers.submit(self._encode, array, array.nbytes + _HIGH_BYTES * len(held.high)).result()

    def wake(self) -> None:
        """Begin to load a vocabulary, beside the caller."""
        nothing = Bytes.of(pl.Series([""])).array  # a list would have pyarrow import pandas
        self._workers.submit(self._encode, nothing, 0)

    def rest(self) -> None:
        """Let go of the vocabularies."""
        self._own = threading.local()
        memory.give_back(_KEPT_AT_REST)

    def _encode(self, texts: pa.LargeStringArray, weight: int) -> Encoded:
        import awkward as ak

        own = self._own
        if getattr(own, "bytes_left", 0) <= 0 or memory.in_use() - own.memory >= _GROWN_BYTES:
            own.gigatoken, own.bytes_left = None, 0  # two at once would take twice the memory
            own.gigatoken, own.bytes_left = self._load(), _FRESH_AFTER_BYTES
            own.memory = memory.in_use()
        own.bytes_left -= weight
        layout = ak.to_packed(own.gigatoken.encode_batch(ak.from_arrow(texts), parallel=False)).layout
        return Encoded(np.asarray(layout.content.data), np.asarray(layout.offsets.data, dtype=np.int64))


class SlowTokenizer:
    """Hugging Face `tokenizers`: every vocabulary, at a fortieth of the speed."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, *, digest: str) -> None:
        self.digest = digest
        self.cuts_at_newlines = False
        self._tokenizer = tokenizer

    def count(self, texts: pl.Series) -> NDArray[np.uint32]:
        """Tokens of each text, in order."""
        return np.diff(self.encode(texts).offsets).astype(np.uint32)

    def encode(self, texts: pl.Series | Bytes) -> Encoded:
        """Token ids of each text, in order."""
        held = texts if isinstance(texts, Bytes) else Bytes.of(texts)
        batch = self._tokenizer.encode_batch_fast(held.array.to_pylist(), add_special_tokens=False)
        ids = [np.asarray(one.ids, np.uint32) for one in batch]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in ids], dtype=np.int64)])
        return Encoded(np.concatenate([np.empty(0, np.uint32), *ids]), offsets)

    def wake(self) -> None:
        """Nothing: it is opened already."""

    def rest(self) -> None:
        """Nothing: it is opened once."""


@cache
def _builtin() -> FastTokenizer:
    """One for all who ask, so that its vocabulary is in memory once."""
    digest = _digest(vocabulary_file().read_bytes())
    return FastTokenizer(vocabulary.load, digest=digest, nfc=True, cuts=True)


def _from_json(file: Path) -> Tokenizer:
    import gigatoken
    import tokenizers

    text = file.read_bytes()
    try:
        loaded = tokenizers.Tokenizer.from_buffer(text)
        loaded.no_truncation()  # settings of a past use, which would falsify every count
        loaded.no_padding()
        slow = SlowTokenizer(loaded, digest=_digest(text))
    except Exception as error:  # the library raises the bare class
        raise UsageError(f"{file} is no readable tokenizer.json ({error}); give another --tokenizer") from error
    fast = FastTokenizer(partial(gigatoken.Tokenizer.from_json, text), digest=_digest(text), nfc=False, cuts=False)
    probe = pl.Series(_SAME_COUNTS)
    try:
        alike = np.array_equal(fast.count(probe), slow.count(probe))
    except (RuntimeError, ValueError, NotImplementedError):  # a vocabulary that gigatoken does not load
        return slow
    return fast if alike else slow


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    except ImportError:
        fix = "pip install 'select2reason[hub]', or give a local tokenizer.json"
        raise UsageError(f"no such file: {name}; to fetch it from the Hub: {fix}") from None
    try:
        return Path(hf_hub_download(name, "tokenizer.json"))
    except (HTTPError, OSError, ValueError) as error:
        raise UsageError(f"the tokenizer {name} is not here and not on the Hub ({first_line(error)})") from error


def _in_nfc(texts: pl.Series) -> pl.Series:
    """Texts in NFC, but special tokens are told apart first, so that their last sign is joined with nothing."""
    normal = texts.str.normalize("NFC")
    struck = np.flatnonzero(texts.str.contains(_STRUCK, literal=True).to_numpy())
    if not len(struck):
        return normal
    pieces = [re.split(_SPECIALS, text) for text in texts[struck]]
    return normal.scatter(struck, ["".join(unicodedata.normalize("NFC", piece) for piece in one) for one in pieces])


def _maybe_not_nfc(texts: Bytes) -> NDArray[np.int64]:
    """Rows that hold a code point of _CHANGED_BY_NFC, told from its first three bytes: UTF-8 keeps code points' order.

    Takes 0.05 s for 80 MB of English mathematics, where normalising all of it takes 1.1 s.
    """
    data, at = texts.data, texts.high
    at = at[_nfc_leads()[data[at]]]  # none of most Chinese signs
    three = [data[np.minimum(at + i, len(data) - 1)].astype(np.int32) << 16 - 8 * i for i in range(3)]
    changed = np.searchsorted(_nfc_spans(), np.sum(three, axis=0), side="right") % 2 == 1
    return np.unique(texts.rows(at[changed]))


@cache
def _nfc_spans() -> NDArray[np.int32]:
    """Where each span begins and where it has ended, in three bytes of UTF-8 each."""
    edges = [
        (chr(low).encode()[:3].ljust(3, b"\0"), chr(high).encode()[:3].ljust(3, b"\xff"))
        for low, high in _CHANGED_BY_NFC
    ]
    return np.ravel([(int.from_bytes(low), int.from_bytes(high) + 1) for low, high in edges]).astype(np.int32)


@cache
def _nfc_leads() -> NDArray[np.bool_]:
    """Which bytes begin a code point that lies in one of those spans: (256,)."""
    leads = np.zeros(256, np.bool_)
    for low, high in _CHANGED_BY_NFC:
        leads[chr(low).encode()[0] : chr(high).encode()[0] + 1] = True
    return leads


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
