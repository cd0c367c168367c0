"""The command line as a person or a script meets it: help, output, exit codes, and one clear line for every mistake."""

from __future__ import annotations

import gzip
import io
import json
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import orjson
import pytest

from select2reason.cli import main, whole_app
from select2reason.cli.app import HOMES
from select2reason.selection import STRATEGIES

from .conftest import WriteRows

ROWS = [
    {"question": f"What is {n} + {n}?", "response": f"<think>\nWait, {n}.\n</think>\n\n{2 * n}", "hard": n / 10}
    for n in range(20)
]
BY_COLUMN = ("--difficulty", "column:hard")


def cli(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """A run in this process, as `main` is called by the installed command."""
    command, code = ["select2reason", *map(str, args)], 0
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 0
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def process(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "select2reason", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def select(pool: Path | str, out: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    return cli("select", pool, "--out", out, *BY_COLUMN, *args)


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line of an error; nothing else may be on standard error but lines of progress."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    return errors[0]


# --- what it prints -------------------------------------------------------------------------------------------------


def test_help_is_quick_and_teaches_by_example() -> None:
    start = time.monotonic()
    shown = process("--help")
    assert time.monotonic() - start < 5  # the figure is 0.3 s; a loaded machine is given room
    assert all(word in shown.stdout for word in ("select", "analyze", "demo", "cache"))
    assert "OpenR1-Math-220k" in cli("select", "--help").stdout


def test_nothing_heavy_is_imported_for_help() -> None:
    heavy = ("polars", "pyarrow", "jinja2", "gigatoken")
    code = f"import sys, select2reason.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_select_prints_counts_and_paths(write_rows: WriteRows, tmp_path: Path) -> None:
    done = select(write_rows(ROWS), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "layout: question-solution (question=question, response=response)" in done.stderr
    assert "selected" in done.stdout
    for line in done.stdout.split("wrote\n")[1].splitlines():
        assert Path(line.strip()).exists()


def test_json_is_all_that_stands_on_standard_output(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    chosen = json.loads(select(pool, tmp_path / "out", "--json").stdout)
    assert (chosen["pool_rows"], chosen["eligible"], chosen["selected"]) == (20, 20, 2)
    assert json.loads(cli("analyze", pool, "--out", tmp_path / "study", "--json", *BY_COLUMN).stdout)["out"]
    assert json.loads(cli("cache", "--json").stdout)["pools"][0]["scores"]


def test_compare_prints_a_line_a_strategy_and_paths(write_rows: WriteRows, tmp_path: Path) -> None:
    done = cli("compare", write_rows(ROWS), "--out", tmp_path / "out", *BY_COLUMN, "--rows", "4")
    assert done.returncode == 0, done.stderr
    table, paths = done.stdout.split("wrote\n")
    lines = [line.split() for line in table.splitlines()]
    assert [line[:2] for line in lines[1:10]] == [[name, "4"] for name in STRATEGIES] + [["eligible", "20"]]
    assert ["hardest", "4", "100%"] in [line[:3] for line in lines]
    for line in paths.splitlines():
        assert Path(line.strip()).exists()


def test_compare_as_json_is_the_file_it_wrote(write_rows: WriteRows, tmp_path: Path) -> None:
    done = cli("compare", write_rows(ROWS), "--out", tmp_path / "out", *BY_COLUMN, "--weight", "0.7", "--json")
    printed = json.loads(done.stdout)
    assert printed.pop("out") == str(tmp_path / "out")
    assert printed == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert 0.7 in printed["sweep"]["weights"]


def test_compare_replaces_nothing_unasked(write_rows: WriteRows, tmp_path: Path) -> None:
    pool, out = write_rows(ROWS), tmp_path / "out"
    assert cli("compare", pool, "--out", out, *BY_COLUMN).returncode == 0
    assert "exists; choose another --out, or replace it with --force" in refused(cli("compare", pool, "--out", out))
    assert cli("compare", pool, "--out", out, *BY_COLUMN, "--force").returncode == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--fraction", "2"], "fraction must be above 0 and at most 1"),
        (["--rows", "3", "--token-budget", "9"], "only one of --fraction, --rows and --token-budget"),
        (["--token-budget", "3"], "no row can be selected"),
        (["--keep", "boredom"], "--keep knows no reason boredom"),
    ],
)
def test_wrong_options_of_compare_are_one_line(
    args: list[str], message: str, write_rows: WriteRows, tmp_path: Path
) -> None:
    done = cli("compare", write_rows(ROWS), "--out", tmp_path / "out", *BY_COLUMN, *args)
    assert message in refused(done)
    assert not (tmp_path / "out").exists()


def test_compare_knows_no_strategy_of_its_own(write_rows: WriteRows, tmp_path: Path) -> None:
    done = cli("compare", write_rows(ROWS), "--out", tmp_path / "out", "--strategy", "joint")
    assert done.returncode == 2
    assert "--strategy" in done.stderr


def test_the_cache_is_listed_and_cleared(write_rows: WriteRows, tmp_path: Path) -> None:
    select(write_rows(ROWS), tmp_path / "out")
    assert "1 pools in" in cli("cache").stdout
    assert cli("cache", "--clear").stdout.startswith("cleared ")
    assert "0 pools in" in cli("cache").stdout


def test_the_second_run_scores_nothing(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    assert "plan: trace: scored while reading" in select(pool, tmp_path / "a").stderr
    assert "plan: trace: scored already" in select(pool, tmp_path / "b", "--weight", "0.9").stderr


def test_a_shell_completes_the_installed_command_however_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # of the process that started this one
    for done in (cli("--show-completion", "bash"), process("--show-completion", "bash")):
        assert done.stdout.rstrip().endswith("complete -o default -F _select2reason_completion select2reason")


def test_version() -> None:
    assert cli("--version").stdout.startswith("select2reason 0.")


# --- wrong usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--fraction", "0"], "fraction must be above 0 and at most 1"),
        (["--fraction", "1.5"], "fraction must be above 0 and at most 1"),
        (["--fraction", "a lot"], "fraction must be above 0 and at most 1"),
        (["--fraction", "0.1", "--rows", "3"], "only one of --fraction, --rows and --token-budget"),
        (["--keep", "boredom"], "--keep knows no reason boredom"),
        (["--columns", "question"], "--columns question is not of the form"),
        (["--columns", "question=nope"], "no column nope"),
        (["--columns", "colour=hard"], "no role colour"),
        (["--layout", "novel"], "no layout is called novel"),
        (["--layout", "sharegpt"], "does not fit the layout sharegpt"),
        (["--difficulty", "column:nope"], "no column nope"),
        (["--tokenizer", "nowhere.json"], "no tokenizer.json at nowhere.json"),
        (["--token-budget", "3"], "no row can be selected"),
        (["--verify", "pool"], "no correctness flags; name them with --columns"),
        (["--verify", "grade"], "no gold answers; name them with --columns"),
        (["--benchmark-files", "nope.jsonl"], "no such file, folder or glob: nope.jsonl"),
        (["--benchmark-files", "b.jsonl", "--contamination", "off"], "--benchmark-files are looked for by"),
    ],
)
def test_wrong_options_are_one_line(args: list[str], message: str, write_rows: WriteRows, tmp_path: Path) -> None:
    assert message in refused(select(write_rows(ROWS), tmp_path / "out", *args))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("args", [["--rows", "0"], ["--weight", "2"], ["--strategy", "best"], ["--nonsense"]])
def test_options_out_of_range_are_refused_by_name(args: list[str], write_rows: WriteRows, tmp_path: Path) -> None:
    done = select(write_rows(ROWS), tmp_path / "out", *args)
    assert done.returncode == 2
    assert args[0] in done.stderr


@pytest.mark.parametrize("fraction", ["10%", "0.1", "1e-1"])
def test_a_fraction_can_be_written_as_people_do(fraction: str, write_rows: WriteRows, tmp_path: Path) -> None:
    done = select(write_rows(ROWS), tmp_path / "out", "--fraction", fraction, "--json")
    assert json.loads(done.stdout)["selected"] == 2


def test_more_than_there_is_takes_all_and_says_so(write_rows: WriteRows, tmp_path: Path) -> None:
    done = select(write_rows(ROWS), tmp_path / "out", "--rows", "100")
    assert "note: 100 rows were asked for, 20 could be taken" in done.stdout


# --- wrong input ----------------------------------------------------------------------------------------------------


def test_no_such_file(write_rows: WriteRows, tmp_path: Path) -> None:
    write_rows(ROWS)
    line = refused(select(tmp_path / "pool.json", tmp_path / "out"))
    assert "no such file" in line
    assert "did you mean" in line


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "is empty"),
        ("blank.jsonl", b"\n\n\n", "no readable row"),
        ("novel.txt", b"It was a dark and stormy night.", "is no JSONL, JSON, Parquet or Arrow file"),
        ("novel.jsonl", b"It was a dark\nand stormy night.\n", "no readable row"),
        ("novel.parquet", b"It was a dark and stormy night.", "cannot read"),
        ("torn.jsonl.gz", gzip.compress(orjson.dumps(ROWS[0]) * 9)[:60], "cannot read"),
        ("latin.jsonl", b'{"question": "caf\xe9", "response": "x", "hard": 1}\n', "no readable row"),
        ("torn.json", b'[{"question": "a", "response": "b"}, {"quest', "breaks off at item 1"),
        ("numbers.jsonl", b"1\n2\n3\n", "no readable row"),
        ("columns.jsonl", b'{"colour": "red", "hard": 1}\n', "has no layout known here"),
        ("nulls.jsonl", b'{"question": null, "response": null, "hard": null}\n', "--columns"),
    ],
)
def test_what_is_no_pool_is_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    line = refused(select(tmp_path / name, tmp_path / "out"))
    assert message in line
    assert name in line
    assert not (tmp_path / "out").exists()


def test_too_many_bad_rows_stop_the_run_unless_allowed(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    pool.write_bytes(pool.read_bytes() + b"not json\n" * 5)
    line = refused(select(pool, tmp_path / "out"))
    assert "5 of 25 rows cannot be used" in line
    assert "--max-bad-fraction 0.21" in line
    allowed = select(pool, tmp_path / "out", "--max-bad-fraction", "0.21")
    assert allowed.returncode == 0
    assert len((tmp_path / "out" / "quarantine.jsonl").read_bytes().splitlines()) == 5


def test_an_infinite_difficulty_is_missing_and_counted(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    more = {**ROWS[0], "question": "What now?", "hard": "inf"}, {**ROWS[0], "question": "And now?", "hard": "NaN"}
    pool.write_bytes(pool.read_bytes() + b"".join(orjson.dumps(row) + b"\n" for row in more))
    assert "note: 2 rows have no difficulty" in select(pool, tmp_path / "out").stdout


# --- wrong places ---------------------------------------------------------------------------------------------------


def test_an_output_that_exists_is_refused_before_any_work(write_rows: WriteRows, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    done = select(write_rows(ROWS), tmp_path / "out")
    assert "exists and is no earlier selection" in refused(done)
    assert "layout" not in done.stderr
    assert "no earlier selection" in refused(select(tmp_path / "pool.jsonl", tmp_path / "out", "--force"))
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_an_output_below_a_file_is_one_line(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    assert "cannot write to" in refused(select(pool, pool / "out"))


def test_no_permission_is_one_line(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    done = select(pool, Path("/proc/out"))  # nobody, not even root, can write there
    assert "cannot write to /proc" in refused(done)
    assert "cannot make the cache folder" in refused(select(pool, tmp_path / "out", "--cache-dir", "/proc/cache"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_and_nothing_is_half_written(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS)
    limit = 30_000  # bytes a file may grow to: the kernel refuses more, as a full disk does
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "from select2reason.cli import main; sys.argv[0] = 'select2reason'; main()"
    )
    args = ["select", str(pool), "--out", str(tmp_path / "out"), *BY_COLUMN]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert "run the same command again" in refused(done, code=1)
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []
    assert select(pool, tmp_path / "out").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    pool = tmp_path / "slow.jsonl"
    with pool.open("wb") as lines:
        for n in range(60_000):
            lines.write(orjson.dumps({**ROWS[0], "question": f"What is {n}?", "response": f"{n} word " * 150}) + b"\n")
    command = [sys.executable, "-m", "select2reason", "select", str(pool), "--out", str(tmp_path / "out"), *BY_COLUMN]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        running.stderr.readline()  # the layout's line: work has begun
        running.send_signal(number)
        _, stderr = running.communicate(timeout=30)
    assert running.returncode == 130, stderr
    assert "run the same command again" in stderr
    assert not (tmp_path / "out").exists()


def test_every_command_is_at_home_in_the_module_that_is_loaded_for_it() -> None:
    app = whole_app()
    found = {
        command.name or command.callback.__name__: command.callback.__module__
        for command in app.registered_commands
        if command.callback
    }
    found |= {str(group.name): "select2reason.cli.reward" for group in app.registered_groups}
    assert found == {name: f"select2reason.cli.{home}" for name, home in HOMES.items()}
