"""Names that would lead out of a folder: from a pool's rows and files, a manifest, a recipe, an option."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from select2reason.chosen import open_chosen
from select2reason.cli.viewing import _recorded
from select2reason.errors import OutputError, PoolError, UsageError
from select2reason.files import file_digest
from select2reason.pipeline import select
from select2reason.recipe import read_recipe
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.sources import find_files

from ..conftest import WriteRows

OUT = "../../../escaped"
NAMES = (
    OUT,
    "/escaped",
    "..",
    "~/escaped",
    "a/../../escaped",
    "C:\\escaped",
    "con/nul",
    "$(touch escaped)",
)


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def chosen(write_rows: WriteRows, tmp_path: Path) -> Path:
    """A selection of a pool whose every name would lead elsewhere, chosen in a folder of its own."""
    base = tmp_path / "a" / "b" / "c" / "d"
    base.mkdir(parents=True)
    rows = [
        {
            "question": f"What is {n}?",
            "response": f"It is {n}.",
            "category": name,
            "source_file": name,
            "uuid": name,
            "hard": n,
            name: name,
            "../up": name,
        }
        for n, name in enumerate(NAMES)
    ]
    (base / "p.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    pool = PoolSettings((str(base / "p.jsonl"),), cache_dir=base / "cache", columns={"category": "category"})
    settings = SelectSettings(rows=len(rows), preset="paper", strategy="diverse")
    select(pool, ScoreSettings(difficulty="column:hard"), settings, base / "out")
    return base / "out"


def test_what_a_pool_says_names_no_file(chosen: Path, tmp_path: Path) -> None:
    base = chosen.parent
    assert {path.split("/")[0] for path in everything(base)} == {"p.jsonl", "cache", "out"}
    assert {path for path in everything(tmp_path) if not path.startswith("a")} == set()
    assert not Path("/escaped").exists() and not Path("~/escaped").expanduser().exists()
    data = {path for path in everything(chosen) if path.startswith("data/")}
    assert data == {"data/train-00000-of-00001.parquet"}


def test_an_export_writes_below_its_folder(chosen: Path, tmp_path: Path) -> None:
    from select2reason.export.handover import ForModel, hand_over
    from select2reason.extension import Extension

    before = everything(tmp_path)
    for trainer in ("trl", "sharegpt", "alpaca", "llamafactory", "axolotl"):
        model = ForModel("Qwen/Qwen2.5-1.5B", None, Extension())
        hand_over(open_chosen(chosen), trainer, tmp_path / "to" / trainer, model=model, command="")
    assert {path.split("/")[0] for path in everything(tmp_path) - before} == {"to"}


def manifest_with(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    file = folder / "manifest.json"
    held = orjson.loads(file.read_bytes())
    change(held)
    file.write_bytes(orjson.dumps(held))


def test_a_manifest_leads_to_no_file_outside_its_folder(chosen: Path, tmp_path: Path) -> None:
    """The file outside is real, Parquet, and its digest is right: it is left alone for its name."""
    outside = tmp_path / "private.parquet"
    real = next((chosen / "data").iterdir())
    shutil.copy(real, outside)
    names = [
        f"data/../../../../../../{outside.name}",
        f"data/{outside}",
        "data/../data/../../../../../../private.parquet",
    ]

    def add(held: dict[str, dict[str, str]]) -> None:
        held["outputs"] = {"manifest.json": "", **dict.fromkeys(names, file_digest(outside))}

    manifest_with(chosen, add)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="holds no chosen rows"):
        open_chosen(chosen)
    manifest_with(chosen, lambda held: held["outputs"].update({f"data/{real.name}": file_digest(real)}))  # type: ignore[attr-defined]
    assert open_chosen(chosen).files == (real,)


def test_a_digest_in_the_cache_s_place_leads_nowhere(chosen: Path) -> None:
    from select2reason.view import explore

    manifest_with(chosen, lambda held: held["pool"].update(digest="../../../escaped"))  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="is no selection"):
        explore(chosen, chosen.parent / "cache")


def test_a_link_is_not_sent_to_the_hub(chosen: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    from select2reason.export.upload import upload

    secret = tmp_path / "id_ed25519"
    secret.write_text("private")
    for name in ("report.html", "data/train-extra.parquet"):
        (chosen / name).unlink(missing_ok=True)
        (chosen / name).symlink_to(secret)
        with pytest.raises(UsageError, match="is a link, and what it leads to would be sent"):
            upload(open_chosen(chosen), "me/best")
        (chosen / name).unlink()


@pytest.mark.parametrize("name", ["../x", "..", "a/b", "/x", ".hidden", "a\\..\\b/..", "base", "a\nb"])
def test_a_recipe_s_variant_is_a_folder_s_name(name: str, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'[select]\npool = ["p"]\n[variants.{json.dumps(name)}]\nselect.rows = 1\n')
    with pytest.raises(UsageError, match="a variant cannot be called"):
        read_recipe(recipe, tmp_path / "out")


@pytest.mark.parametrize("option", ["out", "force", "json"])
def test_a_recipe_does_not_say_where_it_writes(option: str, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'[select]\npool = ["p"]\n{option} = "/etc"\n')
    with pytest.raises(UsageError, match=f"select has no {option}; the run gives it"):
        read_recipe(recipe, tmp_path / "out")


def test_what_is_carried_is_a_column_of_the_pool(chosen: Path) -> None:
    pool = PoolSettings((str(chosen.parent / "p.jsonl"),), cache_dir=chosen.parent / "cache", carry=("../../x",))
    with pytest.raises(OutputError, match="what can be carried is"):
        settings = SelectSettings(rows=1, preset="paper")
        select(pool, ScoreSettings(difficulty="column:hard"), settings, chosen.parent / "other")


def test_the_explorer_s_dialog_writes_what_select_would_and_no_more(chosen: Path) -> None:
    """A folder's name is the user's to choose; one that looks like an option stays a name, and what stands there is not
    replaced."""
    recorded = _recorded(
        {"command": f"select2reason select {chosen.parent}/p.jsonl --out x --force", "selected": 3}, None
    )
    from select2reason.view.explored import Asked

    words = recorded.command(Asked(weight=0.5), "--force")
    assert words[-2:] == ["--out", "./--force"]
    assert "--force" not in words[:-1]


@pytest.mark.parametrize(
    "words",
    [
        "rm -rf /",
        "select2reason train x --model evil/model --trust-remote-code --out y",
        "select2reason select p --out x; rm -rf /",
        "python -c evil select2reason select p",
    ],
)
def test_a_recorded_command_that_is_no_select_is_neither_run_nor_shown(words: str, chosen: Path) -> None:
    from select2reason.view import explore
    from select2reason.view.explored import Asked

    manifest_with(chosen, lambda held: held.update(command=words))
    shutil.rmtree(chosen.parent / "cache")
    with pytest.raises(UsageError) as told:
        explore(chosen, chosen.parent / "cache")
    assert "rm -rf /" not in str(told.value) or "'x;' rm -rf /" in str(told.value)  # words of a select, quoted
    assert "evil" not in str(told.value)
    recorded = _recorded({"command": words, "selected": 3}, None)
    with pytest.raises(UsageError):
        recorded.command(Asked(weight=0.5), "y")


def test_a_recorded_command_decides_neither_whose_code_runs_nor_where() -> None:
    judged = "--difficulty judge --model m --trust-remote-code"
    ray = "--engine ray --ray-address ray://evil:10001 --ray-storage s3://evil/x --out y"
    recorded = _recorded(
        {"command": shlex.join(["select2reason", "select", "p", *f"{judged} {ray}".split()]), "selected": 1}, None
    )
    assert set(recorded.options) == {"difficulty", "model", "out"}


@pytest.mark.parametrize("name", ["p.tar", "p.zip", "p.jsonl.tar.gz", "p.tgz"])
def test_archives_of_many_files_are_not_opened(name: str, tmp_path: Path) -> None:
    """No name within an archive can lead anywhere: tar and zip are not read at all."""
    import tarfile
    import zipfile

    file = tmp_path / name
    (tmp_path / "inner").write_text('{"question": "q", "response": "r"}\n')
    if name.endswith("zip"):
        with zipfile.ZipFile(file, "w") as packed:
            packed.write(tmp_path / "inner", "../../escaped.jsonl")
    else:
        with tarfile.open(file, "w:gz" if name.endswith("gz") else "w") as packed:
            packed.add(tmp_path / "inner", "../../escaped.jsonl")
    with pytest.raises((PoolError, UsageError)):
        pool = PoolSettings((str(file),), cache_dir=tmp_path / "cache")
        select(pool, ScoreSettings(), SelectSettings(rows=1), tmp_path / "out")
    assert not list(tmp_path.parent.glob("escaped*"))


def test_links_of_a_pool_s_folder_are_followed_to_files_alone(tmp_path: Path) -> None:
    """As the Hub's own cache needs it: docs/security.md says so. A link to a folder is not gone through."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.jsonl").write_text("{}")
    folder = tmp_path / "pool"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to(outside / "x.jsonl")
    (folder / "deep").symlink_to(outside)
    assert [file.path.name for file in find_files(str(folder))] == ["a.jsonl"]


def test_what_was_evaluated_is_kept_below_its_folder(tmp_path: Path, write_rows: WriteRows) -> None:
    from select2reason.evaluation import read_problems

    table = write_rows([{"question": "1?", "answer": "1"}], "..evil $(x).jsonl")
    assert "/" not in read_problems(str(table), columns={"gold": "answer"}).benchmark.name
    assert "." not in read_problems(str(table), columns={"gold": "answer"}).benchmark.name
