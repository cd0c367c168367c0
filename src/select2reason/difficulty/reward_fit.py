"""The stage behind `reward fit` and `reward eval`: a table of questions with pass rates becomes a model that scores
questions (METHOD 2: reward model), with its figures on questions that it never saw.

Two kinds of model: `ngram` (fitting.py: NumPy, seconds) and `hf:MODEL`, a language model with one output
(backends/reward_training.py). A folder holds the weights, `reward.json` (what it is and how it did), CARD.md, and
`trained_on.npy` (hashes of the questions it was fitted on, so that `evaluate_reward` can leave them out).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl

from select2reason.difficulty.features import clean, strip_tail
from select2reason.difficulty.fitting import fit
from select2reason.difficulty.reward_folder import (
    ABOUT,
    CARD,
    FORMAT,
    HF,
    NGRAM,
    SEEN,
    Predict,
    SavedReward,
    digests,
    fingerprint,
    opened,
    read_reward,
    whole_folder,
)
from select2reason.difficulty.validation import Baselines, Validation, fit_baselines, render, validate
from select2reason.errors import UsageError
from select2reason.progress import stage
from select2reason.tokens import load_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from select2reason.backends.reward_training import Tuning

_PREFIX = f"{HF}:"
_VALID = 0.1  # of the training side: ends the training of a language model and sets its scale
_FEWEST = 30  # questions to fit on
_PACKAGES = ("select2reason", "numpy", "polars", "torch", "transformers", "peft")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardReport:
    """What was fitted or checked, on what, and how it did on the questions held out (or, checking, on new ones).

    `rows` of the table came in; of them `left_out` lack a question or a pass rate and `repeated` were averaged into an
    earlier row of the same question. `seen`: questions left out of a check because the model was fitted on them.
    """

    kind: str
    base: str
    fingerprint: str
    rows: int
    left_out: int
    repeated: int
    train: int
    valid: int
    held_out: int
    seen: int
    validation: Validation


def fit_reward(
    table: pl.DataFrame,
    out: Path,
    *,
    base: str = NGRAM,
    holdout: float = 0.1,
    seed: int = 0,
    tuning: Tuning | None = None,
    force: bool = False,
) -> RewardReport:
    """Fit on `table` (question, pass_rate in [0, 1], optionally n = samples behind it, and gold) and write `out`.

    Gold answers (null = unknown) are for n-grams; a language model does not see them. The model of `out` is the one
    measured: the held-out questions stay out of it. Rows of one question (equal cleaned text) count as one, their pass
    rates averaged with the weights n, so that none is on both sides. `tuning` is for `hf:MODEL`. Raises UsageError for
    what cannot be fitted, OutputError where `out` cannot be written.
    """
    _check(base, holdout, tuning)
    questions = _one_row_each(table)
    train, valid, aside = _split(len(questions), holdout, seed, validating=base != NGRAM)
    baselines = fit_baselines(*_labels_and_tokens(questions[np.concatenate([train, valid])]))
    with whole_folder(out, force=force) as part:
        _fit_into(part, base, questions[train], questions[valid], seed=seed, tuning=tuning)
        kind = base.partition(":")[0]
        predict, close = opened(part, kind, tuning.device if tuning else None)
        validation = _measure(predict, questions[aside], baselines)
        close()
        np.save(part / SEEN, np.sort(_hashes(questions[np.concatenate([train, valid])]["question"])))
        report = RewardReport(
            kind=kind,
            base=base.removeprefix(_PREFIX),
            fingerprint=fingerprint(kind, digests(part)),
            **_counts(table, questions),
            train=len(train),
            valid=len(valid),
            held_out=len(aside),
            seen=0,
            validation=validation,
        )
        _describe(part, report, table, baselines, holdout=holdout, seed=seed, tuning=tuning)
    return report


def evaluate_reward(folder: Path, table: pl.DataFrame, *, device: str | None = None) -> RewardReport:
    """Check a saved model on `table` (as in `fit_reward`); questions that it was fitted on are left out and counted."""
    saved = read_reward(folder)
    questions = _one_row_each(table)
    new = ~_seen(saved, questions["question"])
    model = saved.load(device=device)
    fresh = questions.filter(pl.Series(new))
    validation = _measure(model.predict_stripped, fresh, Baselines(**saved.about["baselines"]))
    model.close()
    return RewardReport(
        kind=saved.about["kind"],
        base=saved.about["base"],
        fingerprint=saved.fingerprint,
        **_counts(table, questions),
        train=saved.about["train"],
        valid=saved.about["valid"],
        held_out=len(fresh),
        seen=int((~new).sum()),
        validation=validation,
    )


def render_report(report: RewardReport) -> str:
    """Counts and figures as Markdown."""
    kind = "hashed n-grams" if report.kind == NGRAM else f"language model {report.base}"
    lines = [
        f"Reward model ({kind}), fingerprint `{report.fingerprint}`.",
        f"{report.rows:,} rows: {report.left_out:,} without a question or a pass rate left out, {report.repeated:,} "
        f"repeated questions averaged. Fitted on {report.train:,} questions"
        + (f", stopped and scaled on {report.valid:,}" if report.valid else "")
        + f"; measured on {report.held_out:,} that it never saw"
        + (f" ({report.seen:,} that it was fitted on left out)." if report.seen else "."),
    ]
    return "\n".join([*lines, "", render(report.validation)])


def _check(base: str, holdout: float, tuning: Tuning | None) -> None:
    if base != NGRAM and not (base.startswith(_PREFIX) and base.removeprefix(_PREFIX)):
        raise UsageError(f"unknown base {base}; choose {NGRAM} or {_PREFIX}MODEL, e.g. {_PREFIX}Qwen/Qwen2.5-1.5B")
    if base == NGRAM and tuning is not None:
        raise UsageError(f"epochs, learning rate and the like are for {_PREFIX}MODEL; leave them out with {NGRAM}")
    if not 0 <= holdout < 1:
        raise UsageError(f"the held-out share must be at least 0 and below 1, e.g. 0.1; got {holdout}")


def _one_row_each(table: pl.DataFrame) -> pl.DataFrame:
    """question (without a prompt's tail), gold, difficulty; one row for each cleaned text, by first appearance.

    Rows of one question that give several gold answers give none: one of them is wrong.
    """
    if missing := [name for name in ("question", "pass_rate") if name not in table.columns]:
        raise UsageError(f"the table has no column {' and '.join(missing)}; it has {', '.join(table.columns)}")
    rate = table["pass_rate"].cast(pl.Float64, strict=False).fill_nan(None)
    wrong = rate.filter(~rate.is_between(0, 1))
    if len(wrong):
        raise UsageError(f"pass rates must lie in 0..1; found {wrong[0]:g}: divide percentages by 100")
    counts = (
        table["n"].cast(pl.Float64, strict=False) if "n" in table.columns else pl.repeat(1.0, len(table), eager=True)
    )
    stripped = strip_tail(table["question"])
    known_golds = "gold" in table.columns
    golds = table["gold"] if known_golds else pl.repeat(None, len(table), dtype=pl.String, eager=True)
    columns = {"question": stripped, "key": clean(stripped), "rate": rate, "n": counts, "gold": golds.cast(pl.String)}
    rows = pl.DataFrame(columns)
    known = rows.filter(pl.col("key") != "", pl.col("rate").is_not_null()).with_columns(
        pl.when(pl.col("n") > 0).then("n").otherwise(1.0).alias("n")
    )
    mean = (pl.col("rate") * pl.col("n")).sum() / pl.col("n").sum()
    gold = pl.when(pl.col("gold").drop_nulls().n_unique() == 1).then(pl.col("gold").drop_nulls().first())
    one = known.group_by("key", maintain_order=True).agg(pl.col("question").first(), gold=gold, difficulty=1 - mean)
    return one.drop("key")


def _counts(table: pl.DataFrame, questions: pl.DataFrame) -> dict[str, int]:
    there = (clean(strip_tail(table["question"])) != "") & table["pass_rate"].cast(pl.Float64, strict=False).is_finite()
    whole = int(there.fill_null(False).sum())
    return {"rows": len(table), "left_out": len(table) - whole, "repeated": whole - len(questions)}


def _split(
    count: int, holdout: float, seed: int, *, validating: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Rows to fit on, to stop and scale on (none for n-grams: they cross-fit), and to measure on; each ascending."""
    order = np.random.default_rng(seed).permutation(count)
    aside = round(holdout * count)
    valid = round(_VALID * (count - aside)) if validating else 0
    if count - aside - valid < _FEWEST:
        raise UsageError(
            f"{count - aside - valid} questions with a pass rate are left to fit on; give at least {_FEWEST}"
        )
    parts = np.split(order, [aside, aside + valid])
    return np.sort(parts[2]), np.sort(parts[1]), np.sort(parts[0])


def _fit_into(
    part: Path, base: str, train: pl.DataFrame, valid: pl.DataFrame, *, seed: int, tuning: Tuning | None
) -> None:
    if base == NGRAM:
        fit(train["question"], train["difficulty"].to_numpy(), golds=train["gold"], seed=seed).save(part)
        return
    from select2reason.backends.reward_training import Labelled, Tuning, fine_tune

    sides = (Labelled(side["question"].to_list(), side["difficulty"].to_numpy()) for side in (train, valid))
    model = fine_tune(
        base.removeprefix(_PREFIX), *sides, tuning=tuning or Tuning(), seed=seed, stage=partial(stage, unit="questions")
    )
    model.save(part)
    model.close()


def _measure(predict: Predict, questions: pl.DataFrame, baselines: Baselines) -> Validation:
    label, tokens = _labels_and_tokens(questions)
    return validate(predict(questions["question"], questions["gold"]), label, tokens, baselines=baselines)


def _labels_and_tokens(questions: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return questions["difficulty"].to_numpy(), load_tokenizer().count(questions["question"]).astype(np.float64)


def reward_seen(folder: Path, questions: pl.Series) -> str | None:
    """How many of these questions the saved model was fitted on, in words; None where it is none."""
    known = _seen(read_reward(folder), strip_tail(questions.fill_null("")))
    if not known.any():
        return None
    told = f"the model was fitted on {known.sum():,} of these {len(known):,} questions, which flatters these figures"
    return f"{told}; `select2reason reward eval` leaves them out"


def _seen(saved: SavedReward, stripped: pl.Series) -> NDArray[np.bool_]:
    """Which of these questions the saved model was fitted on."""
    return np.isin(_hashes(stripped), saved.trained_on())


def _hashes(stripped: pl.Series) -> NDArray[np.uint64]:
    """64 bits of each cleaned text."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in clean(stripped)]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _describe(
    part: Path,
    report: RewardReport,
    table: pl.DataFrame,
    baselines: Baselines,
    *,
    holdout: float,
    seed: int,
    tuning: Tuning | None,
) -> None:
    """reward.json and CARD.md."""
    columns = [name for name in ("question", "pass_rate", "n", "gold") if name in table.columns]
    content = orjson.dumps(table.select(columns).to_dict(as_series=False), default=str)
    about = {
        "format": FORMAT,
        **asdict(report),
        "baselines": asdict(baselines),
        "holdout": holdout,
        "seed": seed,
        "tuning": tuning and asdict(tuning),
        "table": hashlib.sha256(content).hexdigest(),
        "versions": _versions(),
        "files": digests(part),
    }
    (part / ABOUT).write_bytes(orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
    text = f"# A question's difficulty: its expected 1 - pass rate\n\n{render_report(report)}\n"
    (part / CARD).write_text(text, encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
