"""From a table of pass rates to a folder that scores: splits, counts, honesty of the figures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
from tests.tiny_language_model import make_language_model

from select2reason.difficulty.reward_fit import RewardReport, evaluate_reward, fit_reward, render_report
from select2reason.difficulty.reward_folder import load_reward, read_reward
from select2reason.errors import OutputError, UsageError

TAIL = " Let's think step by step and output the final answer within \\boxed{}."


def table(rows: int, *, seed: int = 0) -> pl.DataFrame:
    """Made-up questions; those that begin with "Prove" are rarely solved."""
    rng = np.random.default_rng(seed)
    hard = rng.integers(0, 2, rows)
    words = np.array(["apples", "primes", "trains", "circles", "coins", "roots"])
    asked = [
        f"{('Add', 'Prove')[h]} two {' '.join(rng.choice(words, rng.integers(4, 9)))} {i} ." for i, h in enumerate(hard)
    ]
    return pl.DataFrame({"question": asked, "pass_rate": np.clip(0.8 - 0.6 * hard + rng.normal(0, 0.05, rows), 0, 1)})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RewardReport]:
    folder = tmp_path_factory.mktemp("reward") / "ngram"
    return folder, fit_reward(table(300), folder, holdout=0.2)


def test_it_learns_and_says_how_well(fitted: tuple[Path, RewardReport]) -> None:
    folder, report = fitted
    assert (report.kind, report.rows, report.train, report.valid, report.held_out) == ("ngram", 300, 240, 0, 60)
    assert report.validation.n == 60
    assert report.validation.rmse < report.validation.mean_rmse / 2
    assert {path.name for path in folder.iterdir()} == {"weights.npz", "reward.json", "CARD.md", "trained_on.npy"}
    assert render_report(report) in (folder / "CARD.md").read_text(encoding="utf-8")
    about = orjson.loads((folder / "reward.json").read_bytes())
    assert about["validation"]["spearman"] == report.validation.spearman
    assert about["versions"]["polars"] == pl.__version__
    assert not list(folder.parent.glob(".*"))


def test_the_folder_scores_questions(fitted: tuple[Path, RewardReport]) -> None:
    folder, report = fitted
    model = load_reward(folder)
    scores = model.predict(pl.Series(["Prove two coins .", None, " ", "Add two coins .", "Add two coins ." + TAIL]))
    assert scores[0] > 0.6 > 0.4 > scores[3] == scores[4]
    assert np.flatnonzero(np.isnan(scores)).tolist() == [1, 2]
    assert model.fingerprint == read_reward(folder).fingerprint == report.fingerprint
    model.close()


def test_gold_answers_are_learnt_from_and_two_of_one_question_count_for_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 2, 400)
    rows = pl.DataFrame(
        {
            "question": [f"Add coins {i} ." for i in range(400)],
            "gold": [str(rng.integers(1, 9) * 10_000**one) for one in large],
            "pass_rate": 0.8 - 0.6 * large,
        }
    )
    again = rows.head(50).with_columns(gold=pl.col("gold") + "1")
    with_gold, without = (
        fit_reward(table, tmp_path / str(n), holdout=0.2)
        for n, table in enumerate((pl.concat([rows, again]), rows.drop("gold")))
    )
    assert (with_gold.repeated, with_gold.train + with_gold.held_out) == (50, 400)
    assert with_gold.validation.spearman > 0.7 > 0.3 > without.validation.spearman
    model = load_reward(tmp_path / "0")
    small, big = model.predict(pl.Series(["Add coins 500 ."] * 2), pl.Series(["3", "60000"]))
    assert big - small > 0.4
    checked = evaluate_reward(tmp_path / "0", rows.with_columns(question="Now " + pl.col("question")))
    assert checked.validation.spearman > 0.7


def test_equal_seeds_give_equal_folders_and_figures(fitted: tuple[Path, RewardReport], tmp_path: Path) -> None:
    _, report = fitted
    again = fit_reward(table(300), tmp_path / "again", holdout=0.2)
    assert (again.fingerprint, again.validation) == (report.fingerprint, report.validation)
    assert fit_reward(table(300), tmp_path / "other", holdout=0.2, seed=1).fingerprint != report.fingerprint


def test_rows_that_cannot_be_used_are_left_out_and_repeated_questions_are_one(tmp_path: Path) -> None:
    more = pl.DataFrame(
        {
            "question": [None, "  ", "Unlabelled?", "Odd?", "Asked twice.", "Asked twice." + TAIL],
            "pass_rate": [0.5, 0.5, None, float("nan"), 0.0, 1.0],
            "n": [8, 8, 8, 8, 1, 3],
        }
    )
    rows = pl.concat([table(40).with_columns(n=pl.lit(8)), more], how="vertical_relaxed")
    report = fit_reward(rows, tmp_path / "out", holdout=0)
    assert (report.rows, report.left_out, report.repeated, report.train) == (46, 4, 1, 41)
    mean = orjson.loads((tmp_path / "out/reward.json").read_bytes())["baselines"]["mean"]
    assert mean == pytest.approx((40 * (1 - rows["pass_rate"][:40].to_numpy().mean()) + 0.25) / 41)  # 1 of 4 failed
    assert (report.held_out, report.validation.n) == (0, 0)
    assert np.isnan(report.validation.spearman)


def test_a_check_leaves_out_what_the_model_was_fitted_on(fitted: tuple[Path, RewardReport]) -> None:
    folder, report = fitted
    same = evaluate_reward(folder, table(300))
    assert (same.seen, same.held_out) == (240, 60)
    assert same.validation == report.validation
    new = evaluate_reward(folder, table(100, seed=5))
    assert (new.seen, new.validation.n, new.train) == (0, 100, 240)
    assert new.validation.spearman > 0.6


def test_a_check_needs_to_know_what_the_model_was_fitted_on(tmp_path: Path) -> None:
    fit_reward(table(60), tmp_path / "out")
    (tmp_path / "out/trained_on.npy").unlink()
    with pytest.raises(UsageError, match="fit the model again"):
        evaluate_reward(tmp_path / "out", table(60))


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    fit_reward(table(60), tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("one's own")
    load_reward(tmp_path / "out")
    with (tmp_path / "out/weights.npz").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(UsageError, match="changed after the fit"):
        load_reward(tmp_path / "out")


def test_what_is_no_reward_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reward fit"):
        read_reward(tmp_path)
    for content in ("{", "[]", '{"format": 1, "kind": "ngram"}', '{"format": 99}'):
        (tmp_path / "reward.json").write_text(content)
        with pytest.raises(UsageError, match="reward fit"):
            read_reward(tmp_path)


def test_an_earlier_model_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = fit_reward(table(60), out)
    with pytest.raises(OutputError, match="--force"):
        fit_reward(table(80), out)
    assert read_reward(out).fingerprint == first.fingerprint
    assert fit_reward(table(80), out, force=True).fingerprint == read_reward(out).fingerprint != first.fingerprint
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(OutputError, match="no reward model"):
        fit_reward(table(60), tmp_path / "mine", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


def test_a_fit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch")
    pytest.importorskip("transformers", reason="needs transformers")
    with pytest.raises(UsageError, match="cannot use"):
        fit_reward(table(60), tmp_path / "out", base=f"hf:{tmp_path / 'nothing'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": "gpt"}, "unknown base gpt"),
        ({"base": "hf:"}, "unknown base hf:"),
        ({"holdout": 1.0}, "below 1"),
        ({"holdout": 0.9}, "at least 30"),
    ],
)
def test_wrong_options_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        fit_reward(table(60), tmp_path / "out", **change)  # type: ignore[arg-type]


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column pass_rate"):
        fit_reward(table(60).drop("pass_rate"), tmp_path / "out")
    with pytest.raises(UsageError, match="divide percentages"):
        fit_reward(table(60).with_columns(pl.col("pass_rate") * 100), tmp_path / "out")


def test_a_language_model_goes_the_whole_way(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch")
    pytest.importorskip("transformers", reason="needs transformers")
    from select2reason.backends.reward_training import Tuning

    base = make_language_model(tmp_path / "base")
    tuning = Tuning(epochs=1, batch_tokens=256, learning_rate=1e-3, max_length=32, device="cpu")
    report = fit_reward(table(200), tmp_path / "out", base=f"hf:{base}", holdout=0.2, tuning=tuning)
    assert (report.kind, report.train, report.valid, report.held_out) == ("hf", 144, 16, 40)
    assert report.validation.rmse < report.validation.mean_rmse / 2
    model = load_reward(tmp_path / "out", device="cpu")
    scores = model.predict(pl.Series(["Prove two coins roots .", None, "Add two coins roots ."]))
    assert scores[0] > 0.6 > 0.4 > scores[2]
    assert np.isnan(scores[1])
    assert (model.fingerprint, evaluate_reward(tmp_path / "out", table(200)).validation) == (
        report.fingerprint,
        report.validation,
    )
