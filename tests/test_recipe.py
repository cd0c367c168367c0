"""Recipes: what a TOML comes to as commands, what is refused, and the small one run from end to end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from select2reason.cli import whole_app
from select2reason.cli.recipes import _check
from select2reason.errors import UsageError
from select2reason.recipe import SWITCHES, read_recipe

RECIPES = sorted((Path(__file__).resolve().parents[1] / "recipes").glob("*.toml"))


def words(text: str, tmp_path: Path) -> list[list[str]]:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return [list(stage.words) for stage in read_recipe(file, Path("out")).stages]


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_is_commands_that_exist(file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(file, tmp_path)
    for stage in recipe.stages:
        _check(stage)
    kinds = [stage.name.partition(" ")[0] for stage in recipe.stages]
    assert {"select", "train", "evaluate"} <= set(kinds)
    assert kinds.count("train") == len(recipe.variants)


def test_a_section_is_a_command_and_a_variant_changes_it(tmp_path: Path) -> None:
    text = """
    [select]
    pool = ["a.jsonl", "{out}/b.jsonl"]
    fraction = "0.1"
    keep = ["looping", "duplicate"]
    [train]
    model = "M"
    gradient-checkpointing = false
    lora = true
    trust_remote_code = false
    [evaluate]
    benchmarks = ["math500", "amc23"]
    base = true
    [variants.one]
    [variants.two]
    select.strategy = "random"
    train.epochs = 1
    """
    pools, common = ["a.jsonl", "out/b.jsonl"], ["--fraction", "0.1", "--keep", "looping,duplicate"]
    how, bench = ["--model", "M", "--no-gradient-checkpointing", "--lora"], ["--benchmarks", "math500,amc23"]
    assert words(text, tmp_path) == [
        ["select", *pools, *common, "--out", "out/select/one"],
        ["select", *pools, *common, "--strategy", "random", "--out", "out/select/two"],
        ["evaluate", "--model", "M", *bench, "--out", "out/evaluate/base"],
        ["train", "out/select/one", *how, "--out", "out/train/one"],
        ["evaluate", "--model", "out/train/one/model", *bench, "--out", "out/evaluate/one"],
        ["train", "out/select/two", *how, "--epochs", "1", "--out", "out/train/two"],
        ["evaluate", "--model", "out/train/two/model", *bench, "--out", "out/evaluate/two"],
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[select", "is no TOML"),
        ("[chose]\n", "a recipe has no chose"),
        ("[select]\nfraction = '0.1'", "pool = "),
        ("[select]\npool='p'\n[evaluate]\nbenchmarks='math500'", "needs a [train]"),
        ("[select]\npool='p'\n[train]\nmodel='M'\n[evaluate]\nagainst='x'", "it can be main, base"),
        ("[select]\npool='p'\n[variants.x]\nstrategy='random'", "the variant x has no strategy"),
        ("[select]\npool='p'\n[variants.x]\nselct.strategy='random'", "the variant x has no selct"),
        ("[select]\npool='p'\n[variants.x]\nselect='random'", "select.OPTION"),
        ("[select]\npool='p'\n[variants.base]", "cannot be called 'base'"),
        ("[select]\npool='p'\n[variants.'../x']", "cannot be called '../x'"),
        ("[select]\npool='p'\n[variants]\nx=5", "is a table"),
        ("[select]\npool='p'\n[variants.x]\ntrain.epochs=1", "has a train, and the recipe has no [train]"),
        (
            "[select]\npool='p'\n[train]\nmodel='M'\n[evaluate]\nbase=true\n[variants.x]\nevaluate.base=false",
            "said once",
        ),
        ("select='p'", "is a table"),
    ],
)
def test_what_is_no_recipe_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as failure:
        words(text, tmp_path)
    assert told in str(failure.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[select]\npool='o/p'\nfractoin='0.1'", "select main cannot be run: No such option: --fractoin"),
        ("[select]\npool='o/p'\nstrategy='best'", "select main cannot be run"),
        ("[select]\npool='o/p'\n[variants.x]\nselect.keep='loping'", "select x cannot be run: --keep knows no reason"),
        ("[select]\npool='o/p'\nfraction='0.1'\nrows=5", "select main cannot be run: give only one of --fraction"),
        ("[select]\npool='o/p'\ncolumns='q'", "select main cannot be run: --columns"),
        ("[select]\npool='o/p'\nverify=false", "select: verify = false, but it is no switch; give its value as text"),
        ("[select]\npool='o/p'\nstrategy=true", "select: strategy = true, but it is no switch"),
        (
            "[select]\npool='o/p'\n[train]\nmodel='m/m'\nepochs=1\n[variants.x]\ntrain.max_steps=2",
            "train x cannot be run: give only one of --epochs and --max-steps",
        ),
        ("[select]\npool='o/p'\n[train]\nmodel='m/m'\nlora_rank=4", "train main cannot be run: --lora-rank is for"),
        ("[select]\npool='o/p'\n[train]\nmodel='m'", "train main cannot be run: there is no m"),
        (
            "[select]\npool='o/p'\n[train]\nmodel='m/m'\n[evaluate]\nbenchmarks='math500'\nbackend='vllm'\nbase_url='http://a/v1'",
            "cannot be run: --base-url is for --backend openai",
        ),
        (
            "[select]\npool='o/p'\n[train]\n[evaluate]\nbase=true\nbenchmarks='math500'\n[variants.x]\ntrain.model='m/m'",
            "evaluate base cannot be run: name the model",
        ),
        ("[select]\npool='o/p'\ndifficulty='guess'", "select main cannot be run: --difficulty guess is not known"),
        ("[select]\npool='o/p'\ndifficulty='reward:/nowhere/r'", "select main cannot be run: there is no /nowhere/r"),
        ("[select]\npool='o/p'\n[train]\nmodel='m/m'\n[evaluate]\nbenchmarks='maths500'", "there is no maths500"),
        ("[select]\npool='o/p'\n[train]\nmodel='/nowhere/m'", "train main cannot be run: there is no /nowhere/m"),
        ("[select]\npool='p.jsonl'", "select main cannot be run: there is no p.jsonl"),
        (
            "[select]\npool='o/p'\n[variants.b]\nselect.pool=['o/p', '/nowhere/q']",
            "select b cannot be run: there is no /n",
        ),
        ("[select]\npool='o/p'\nout='x'", "select has no out; the run gives it"),
        ("[select]\npool='o/p'\n[train]\nepochs=2", "train main cannot be run: Missing option '--model'"),
    ],
)
def test_a_mistake_is_found_before_anything_runs(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    done = CliRunner().invoke(whole_app(), ["run", str(file), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_what_is_here_may_be_named_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "mine.jsonl").touch()
    file = tmp_path / "mine.toml"
    file.write_text(
        "[select]\npool=['o/p', '~/mine.jsonl']\n[train]\nmodel='~/m'\n"
        "[evaluate]\nbenchmarks=['~/mine.jsonl', 'b/*.jsonl', 'o/hub', 'AIME24']"
    )
    for stage in read_recipe(file, tmp_path / "out").stages:
        _check(stage)


def run(out: Path, *words: str, recipe: str = "tiny") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "select2reason", "run", recipe, "--out", str(out), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_options_that_are_true_or_false_are_known() -> None:
    """Every switch of the commands of a recipe, but those that the run gives itself."""
    group = get_command(whole_app())
    assert isinstance(group, TyperGroup)
    flags = {
        option
        for command in ("select", "train", "evaluate")
        for parameter in group.commands[command].params
        if getattr(parameter, "is_flag", False)
        for option in parameter.opts
    }
    assert {option.removeprefix("--") for option in flags} - {"force", "json"} == {*SWITCHES}


def test_a_recipe_is_shown_in_toml_alone() -> None:
    done = CliRunner().invoke(whole_app(), ["run", "tiny", "--show", "--json"])
    assert isinstance(done.exception, UsageError)
    assert "leave --json out" in str(done.exception)


def test_the_small_recipe_runs_from_end_to_end_and_then_does_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(out, "--json")
    assert first.returncode == 0, first.stderr[-3000:]
    assert json.loads(first.stdout)["done_now"] == 8
    report = json.loads((out / "report.json").read_text())
    assert [one["name"] for one in report["variants"]] == ["base", "joint", "random"]
    for one in report["variants"][1:]:
        chosen = json.loads((out / "select" / one["name"] / "manifest.json").read_text())
        tuned = json.loads((out / "train" / one["name"] / "manifest.json").read_text())
        assert (one["rows"], one["tokens"]) == (chosen["selected"], tuned["selection"]["tokens"])
        assert one["tokens"] == tuned["tokens"]["an_epoch"]  # to the token: select counted with the model's tokenizer
        assert one["last_loss"] < one["first_loss"] - 1
        assert one["pass_at_1"]["benchmark"][0] is not None
        assert one["against"]["benchmarks"][0]["pass_at_1"]["problems"] == 12
    assert "| joint |" in (out / "report.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = run(out, "--json")
    assert (json.loads(again.stdout)["done_now"], json.loads(again.stdout)["done_before"]) == (0, 8)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    shown = CliRunner().invoke(whole_app(), ["run", "tiny", "--show"]).stdout
    changed = tmp_path / "changed.toml"
    changed.write_text(
        shown.replace("about = ", 'about = "Other words." #').replace("base = true", 'base = true\nagainst = "random"')
    )
    assert json.loads(run(out, "--json", recipe=str(changed)).stdout)["done_now"] == 0
    page = (out / "report.md").read_text()
    assert "Other words." in page
    assert "## Against random" in page
    assert "the difference is of the models" not in page
    changed.write_text(
        changed.read_text()
        + '\n[variants.other]\nselect.strategy = "random"\nselect.seed = 3\ntrain.model = "{out}/other"\n'
    )
    shutil.copytree(out / "made" / "model", out / "other")
    assert run(out, recipe=str(changed)).returncode == 0
    of_both = f"other was tuned from {out}/other, and random was tuned from {out}/made/model"
    assert of_both in (out / "report.md").read_text()
    problems = out / "evaluate" / "other" / "problems.parquet"
    problems.write_bytes(problems.read_bytes()[:100])
    assert f"{problems} is damaged" in run(out, recipe=str(changed)).stderr
    (out / "train" / "joint" / "manifest.json").write_text("{")
    damaged = run(out, recipe=str(changed))
    assert (damaged.returncode, "joint/manifest.json is damaged" in damaged.stderr) == (2, True)


def test_a_first_stage_that_fails_leaves_the_folder_usable(tmp_path: Path) -> None:
    pool, out = tmp_path / "pool.jsonl", tmp_path / "out"
    file = tmp_path / "mine.toml"
    file.write_text(f"[select]\npool = '{pool}'\npreset = 'paper'\n")
    assert run(out, recipe=str(file)).returncode == 2  # no such pool
    pool.write_text("".join(json.dumps({"question": f"Q{n}", "response": f"R{n}"}) + "\n" for n in range(9)))
    assert run(out, recipe=str(file)).returncode == 0
    (out / "run.json").write_text('{"done": {}}')  # as a kill between the folder and the note leaves it
    assert run(out, recipe=str(file)).returncode == 0


def test_another_recipe_s_run_is_left_alone(tmp_path: Path) -> None:
    pool, out = tmp_path / "pool.jsonl", tmp_path / "out"
    pool.write_text("".join(json.dumps({"question": f"Q{n}", "response": f"R{n}"}) + "\n" for n in range(9)))
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(f"[select]\npool = '{pool}'\npreset = 'paper'\n[variants.a]\n[variants.b]\nselect.rows = 2\n")
    two.write_text(f"[select]\npool = '{pool}'\npreset = 'paper'\n")
    assert run(out, recipe=str(one)).returncode == 0
    report = (out / "report.md").read_text()
    refused = run(out, recipe=str(two))
    assert (refused.returncode, "holds the run of another recipe (it has select a)" in refused.stderr) == (2, True)
    assert (out / "report.md").read_text() == report
    pool.unlink()  # what is done needs no pool any more
    (out / "report.md").unlink()
    assert run(out, recipe=str(one)).returncode == 0
    assert (out / "report.md").read_text() == report
    assert not (out / "select" / "main").exists()


def test_a_stage_that_fails_ends_the_run_with_its_code_and_the_rest_is_kept(tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps({"question": f"Q{n}", "response": f"R{n}"}) + "\n" for n in range(9)))
    file = tmp_path / "mine.toml"
    file.write_text(f"[select]\npool = '{pool}'\npreset = 'paper'\n[train]\nmodel = '{tmp_path}'\n")
    out = tmp_path / "out"
    done = run(out, recipe=str(file))
    assert done.returncode == 2
    assert "holds no model" in done.stderr
    assert list(json.loads((out / "run.json").read_text())["done"]) == ["select main"]
    assert run(out, recipe=str(file)).returncode == 2  # the same again, and nothing is in its way
    file.write_text(file.read_text().replace("'paper'", "'safe'"))
    changed = run(out, recipe=str(file))
    assert changed.returncode == 2
    assert "holds select main made otherwise (--preset paper, not --preset safe)" in changed.stderr
