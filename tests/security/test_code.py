"""The program's own source, read as a syntax tree: nothing in it turns data into code, or names into a shell's line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import select2reason

SOURCE = Path(select2reason.__file__).parent
NEVER = {  # what is called, by how its name ends
    *("eval", "exec", "compile", "__import__"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "marshal.load", "shelve.open"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "tempfile.mktemp", "os.system", "os.popen", "joblib.load"),
    *("torch.load", "pandas.read_pickle", "pl.DataFrame.deserialize", "tarfile.open", "zipfile.ZipFile"),
    *("shutil.unpack_archive", "cloudpickle.loads"),
}
NEVER_TRUE = {"shell", "allow_pickle", "trust_remote_code"}
EXCEPTIONS = {
    # Ray hands a worker its job as bytes that our own driver pickled; whoever reaches a Ray's ports may run code anyway
    # (docs/ray.md). Nothing from a pool, a model or a file goes this way.
    ("scoring/by_ray/worker.py", "pickle.loads"),
}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call by its dotted name; `?` stands for what is no name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield _dotted(node.func), node


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return "?"


def found(text: str) -> list[str]:
    """What is called there that never should be: by a name of NEVER (under whatever prefix), or with a switch on."""
    named = []
    for name, call in calls(ast.parse(text)):
        named += [one for one in NEVER if name == one or ("." in one and name.endswith(f".{one}"))]
        named += [k.arg for k in call.keywords if k.arg in NEVER_TRUE and _is_true(k.value)]
    return named


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and bool(value.value)


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "import pickle; pickle.loads(data)",
        "tempfile.mktemp()",
        "subprocess.run(words, shell=True)",
        "np.load(file, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "import torch; torch.load(file)",
    ],
)
def test_what_should_never_be_is_found_where_it_is(line: str) -> None:
    assert found(line)


def test_data_never_becomes_code() -> None:
    told = {(str(file.relative_to(SOURCE)), name) for file in files() for name in found(file.read_text())}
    assert told == EXCEPTIONS


def test_what_could_run_code_is_not_imported_under_another_name() -> None:
    """`from pickle import loads` would be called `loads`."""
    for file in files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                assert module not in (
                    "pickle",
                    "marshal",
                    "shelve",
                    "dill",
                    "yaml",
                    "tarfile",
                    "zipfile",
                    "joblib",
                ) or (
                    module == "zipfile" and {name.name for name in node.names} == {"BadZipFile"}  # an error of NumPy's
                ), file


def test_models_are_opened_as_safetensors_and_without_code_unless_the_user_says_so() -> None:
    """Every `from_pretrained` of a model says use_safetensors=True; every one says what of code, or is a folder that
    this program wrote itself."""
    own_folder = {("backends/sft.py", "PeftModel.from_pretrained")}  # the adapters that this training has just written
    for file in files():
        for name, call in calls(ast.parse(file.read_text())):
            where = (str(file.relative_to(SOURCE)), name)
            if not name.endswith("from_pretrained") or where in own_folder:
                continue
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            spread = None in given  # **options, which the line before makes
            assert "trust_remote_code" in given or spread, where
            if "Model" in name or name == "from_pretrained":
                assert isinstance(given["use_safetensors"], ast.Constant) and given["use_safetensors"].value is True, (
                    where
                )


def test_code_from_a_model_is_off_by_default() -> None:
    from select2reason.backends import BackendSettings
    from select2reason.training import TrainSettings

    assert BackendSettings("transformers", "m").trust_remote_code is False
    assert TrainSettings("m").trust_remote_code is False


def test_processes_are_started_from_lists_of_words() -> None:
    """No call of subprocess takes a text as its command."""
    for file in files():
        for name, call in calls(ast.parse(file.read_text())):
            if name.startswith("subprocess.") and name != "subprocess.TimeoutExpired":
                assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), file
