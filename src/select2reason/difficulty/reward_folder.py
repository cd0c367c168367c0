"""Folders that hold a reward model: read, opened and put in place whole (METHOD 2: reward model).

`reward_fit.py` fills them: the weights, reward.json (what it is and how it did), CARD.md, and trained_on.npy (hashes of
the questions it was fitted on).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import polars as pl

from select2reason.cache import key_of
from select2reason.difficulty.features import strip_tail
from select2reason.difficulty.reward import NgramModel
from select2reason.difficulty.validation import Baselines
from select2reason.errors import OutputError, UsageError
from select2reason.files import ARRAY_DAMAGE, file_digest
from select2reason.parts import folder_put_at, refuse_unwritable

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
NGRAM, HF = "ngram", "hf"
# Of questions without a prompt's tail, and their gold answers (null = unknown), which a language model does not read
Predict = Callable[[pl.Series, pl.Series | None], "NDArray[np.float64]"]
ABOUT, CARD, SEEN = "reward.json", "CARD.md", "trained_on.npy"
_BASELINES = {field.name for field in fields(Baselines)}
_KEYS = {"kind", "base", "files", "baselines", "train", "valid"}


def read_reward(folder: Path) -> SavedReward:
    """What stands in `folder`, without loading it. Raises UsageError where that is no reward model of this version."""
    fix = "give a folder that `select2reason reward fit` wrote"
    try:
        about = orjson.loads((folder / ABOUT).read_bytes())
    except OSError as error:
        raise UsageError(f"no {ABOUT} in {folder}; {fix}") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{folder / ABOUT} cannot be read ({error}); {fix}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT or not about.keys() >= _KEYS or not _sound(about):
        raise UsageError(f"{folder / ABOUT} is of another version; fit it again with `select2reason reward fit`")
    return SavedReward(folder, about)


def _sound(about: Mapping[str, Any]) -> bool:
    """Whether what is read of it is of its kind."""
    kinds = {"kind": str, "base": str, "files": dict, "baselines": dict, "train": int, "valid": int}
    numbers = about["baselines"].values() if isinstance(about["baselines"], dict) else ()
    plain = all(isinstance(about[name], kind) for name, kind in kinds.items())
    return (
        plain
        and about["kind"] in (NGRAM, HF)
        and len(numbers) == len(_BASELINES & about["baselines"].keys()) == len(_BASELINES)
        and all(isinstance(number, int | float) for number in numbers)
    )


def load_reward(folder: Path, *, device: str | None = None) -> RewardModel:
    """Open a folder that `fit_reward` wrote; see `read_reward` and `SavedReward.load` for the errors."""
    return read_reward(folder).load(device=device)


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A reward model of either kind, loaded."""

    fingerprint: str
    predict_stripped: Predict
    close: Callable[[], None] = field(default=lambda: None)

    def predict(self, questions: pl.Series, golds: pl.Series | None = None) -> NDArray[np.float64]:
        """Expected 1 - pass rate in [0, 1], in order; NaN for a blank or null question. `golds` are gold answers, null
        where there is none; only a model of n-grams that was fitted on some reads them."""
        return self.predict_stripped(strip_tail(questions), golds)


@dataclass(frozen=True, slots=True)
class SavedReward:
    """A folder that `fit_reward` wrote, not loaded yet; `fingerprint` names all that its scores depend on."""

    folder: Path
    about: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints give equal scores (to rounding, on other hardware)."""
        return fingerprint(self.about["kind"], self.about["files"])

    def trained_on(self) -> NDArray[np.uint64]:
        """Hashes of the questions it was fitted on, ascending. Raises UsageError where they are missing."""
        try:
            hashes: NDArray[np.uint64] = np.load(self.folder / SEEN, allow_pickle=False)
        except ARRAY_DAMAGE as error:
            raise UsageError(f"cannot read {self.folder / SEEN} ({error}); fit the model again") from error
        return hashes

    def load(self, *, device: str | None = None) -> RewardModel:
        """Open the model. Raises UsageError where a file is not the one that was written, or a package is missing."""
        if not self.about["files"].items() <= digests(self.folder).items():  # others beside them do no harm
            raise UsageError(f"files of {self.folder} were changed after the fit; fit it again")
        return RewardModel(self.fingerprint, *opened(self.folder, self.about["kind"], device))


def opened(folder: Path, kind: str, device: str | None) -> tuple[Predict, Callable[[], None]]:
    """How to score questions without a prompt's tail, and how to let go."""
    if kind == NGRAM:
        return NgramModel.load(folder).predict, lambda: None
    from select2reason.backends.reward_model import TransformersRegressor

    model = TransformersRegressor.open(str(folder), device=device)
    return lambda questions, _: model.predict(questions.to_list()), model.close


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that a score depends on, by name."""
    others = (ABOUT, CARD, SEEN)
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in others)
    return {path.name: file_digest(path) for path in files}


def fingerprint(kind: str, files: Mapping[str, str]) -> str:
    """Names all that a model's scores depend on, from the digests of its files."""
    return key_of(FORMAT, kind, dict(files))


@contextmanager
def whole_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder to write into, put at `out` when the block ends well; an earlier model is replaced with `force` only."""
    real = out.expanduser().resolve()

    def refuse() -> None:
        if not real.exists() or (real.is_dir() and not any(real.iterdir())):
            return
        if not force:
            raise OutputError(f"{out} exists; choose another --out, or replace it with --force")
        if not (real / ABOUT).is_file():
            raise OutputError(f"{out} is no reward model; choose another --out")

    refuse()
    refuse_unwritable(real, out)
    with folder_put_at(real, refuse) as part:
        yield part
