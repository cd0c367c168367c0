"""Datasets of the Hugging Face Hub as files of a pool: `org/name`, with config, split and revision.

Which files belong to a config and a split is read from the dataset's card; a card that does not say so leaves it to the
files' names. Files go into the Hub's own cache, and are not fetched again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

from select2reason.errors import PoolError, UsageError, first_line, in_a_line
from select2reason.progress import say
from select2reason.sources import SourceFile, find_files, kind_of, split_names

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_hub_id(pool: str) -> bool:
    """Whether POOL can be a dataset's name on the Hub: two words around one slash that lead nowhere here.

    A misspelt local file is never asked for on the network: its folder is here, or its name ends like a file's.
    """
    local = Path(pool).parent.exists() or kind_of(Path(pool)) is not None
    return bool(HUB_ID.fullmatch(pool)) and not local


def files_of(
    name: str, *, config: str | None = None, split: str | None = None, revision: str | None = None
) -> list[SourceFile]:
    """The data files of what a user names: a dataset on the Hub, which is fetched, or a file, a folder or a glob."""
    if is_hub_id(name):
        return fetch_dataset(name, config=config, split=split, revision=revision)
    if config is not None or revision is not None:
        say(f"--config and --revision are for the Hub: {name} is read as it is")
    return find_files(name, split=split)


def fetch_dataset(name: str, *, config: str | None, split: str | None, revision: str | None) -> list[SourceFile]:
    """Download the data files of a dataset, in a stable order.

    Raises PoolError where the extra is not installed, the dataset cannot be reached, or nothing fits.
    """
    try:
        hub = needs_hub()
    except UsageError:
        raise PoolError(
            f"no such file or folder: {name}; to fetch it from the Hub: pip install 'select2reason[hub]'"
        ) from None
    try:
        files = hub.HfApi().list_repo_files(name, repo_type="dataset", revision=revision)
        chosen = _chosen(name, files, _card_configs(hub, name, files, revision), config, split)
        paths = [hub.hf_hub_download(name, file, repo_type="dataset", revision=revision) for file in chosen]
    except (hub.errors.HTTPError, OSError, ValueError) as error:
        fix = "check its name, the network, or give a local path"
        raise PoolError(f"cannot fetch {name} from the Hub ({first_line(error)}); {fix}") from error
    return [SourceFile(Path(p), f"{name}/{f}", kind_of(Path(f)) or "jsonl") for p, f in zip(paths, chosen, strict=True)]


def needs_hub() -> ModuleType:
    """The Hub's client. Raises UsageError, with the line that installs it, where it is missing."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise UsageError("this needs the Hub's client: pip install 'select2reason[hub]'") from None
    return huggingface_hub


def _card_configs(hub: ModuleType, name: str, files: Sequence[str], revision: str | None) -> list[Mapping[str, object]]:
    if "README.md" not in files:
        return []
    path = hub.hf_hub_download(name, "README.md", repo_type="dataset", revision=revision)
    try:
        configs = hub.DatasetCard.load(path, repo_type="dataset").data.to_dict().get("configs")
    except Exception as error:  # PyYAML's, the client's own, or what a card makes of them
        fix = "download its files, and name them"
        raise UsageError(f"the card of {name} on the Hub cannot be read ({in_a_line(error)}); {fix}") from error
    return [entry for entry in configs or [] if isinstance(entry, dict) and "data_files" in entry]


def _chosen(
    name: str, files: Sequence[str], configs: Sequence[Mapping[str, object]], config: str | None, split: str | None
) -> list[str]:
    data = sorted(file for file in files if kind_of(Path(file)))
    if configs:
        patterns = list(_patterns(_config_named(name, configs, config), split or "train"))
        data = [file for file in data if any(fnmatch(file, pattern) for pattern in patterns)]
    else:
        data = [file for file in data if not config or config in Path(file).parts]
        named = {word for file in data for word in split_names(Path(file))}
        wanted = split or ("train" if "train" in named else None)
        data = [file for file in data if not wanted or wanted in split_names(Path(file))]
    if not data:
        raise PoolError(
            f"{name} has no data file for config {config or 'default'}, split {split or 'train'}; see its page"
        )
    return data


def _config_named(name: str, configs: Sequence[Mapping[str, object]], config: str | None) -> Mapping[str, object]:
    names = [str(entry.get("config_name", "default")) for entry in configs]
    wanted = config or ("default" if "default" in names else names[0])
    if wanted not in names:
        raise PoolError(f"{name} has no config {wanted}; --config can be {', '.join(names)}")
    return configs[names.index(wanted)]


def _patterns(entry: Mapping[str, object], split: str) -> Iterator[str]:
    listed = entry["data_files"]
    for part in listed if isinstance(listed, list) else [listed]:
        of_split = part.get("split") == split if isinstance(part, dict) else True
        paths = part.get("path", []) if isinstance(part, dict) else part
        if of_split:
            yield from paths if isinstance(paths, list) else [str(paths)]
