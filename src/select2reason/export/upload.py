"""A selection put on the Hugging Face Hub as a dataset, with its card.

Everything that says how the examples were chosen goes with them, but not `quarantine.jsonl`: it holds the heads of rows
that nobody has read. A new repository is private unless it is to be public.
"""

from __future__ import annotations

from dataclasses import dataclass

from select2reason.chosen import Chosen
from select2reason.errors import RunError, UsageError, first_line
from select2reason.hub import HUB_ID, needs_hub
from select2reason.progress import say

_SENT = ("data/*", "README.md", "manifest.json", "scores.parquet", "contamination.parquet", "report.html")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Where the dataset is, who sees it, and the commit that holds it."""

    seen: str
    repo: str
    url: str
    commit: str
    rows: int


def upload(chosen: Chosen, repo: str, *, public: bool = False) -> Uploaded:
    """Upload to the dataset `repo` (owner/name), which is made where it is not there; the rest of it is left alone.

    Raises UsageError for a name that is none, for links in the folder, or a missing extra; RunError where the Hub
    refuses or cannot be reached.
    """
    if not HUB_ID.fullmatch(repo):
        raise UsageError(f"--repo {repo} is no dataset's name; it is owner/name")
    _refuse_links(chosen)
    hub = needs_hub()
    api = hub.HfApi()
    try:
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        seen = "private" if api.repo_info(repo, repo_type="dataset").private else "public"
        say(f"uploading {chosen.rows:,} examples to the {seen} dataset {repo}")
        done = api.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=chosen.folder,
            allow_patterns=list(_SENT),
            delete_patterns=["data/train-*", "contamination.parquet"],  # an earlier selection may have had more files
            commit_message=f"{chosen.rows:,} examples chosen by select2reason",
        )
    except (hub.errors.HTTPError, OSError, ValueError) as error:
        fix = "check its name, `hf auth login` and the network"
        raise RunError(f"cannot upload to {repo} ({first_line(error)}); {fix}") from error
    return Uploaded(seen, repo, f"{hub.constants.ENDPOINT}/datasets/{repo}", done.oid, chosen.rows)


def _refuse_links(chosen: Chosen) -> None:
    """A folder that came from elsewhere could hold links, and files of this machine would be sent by them."""
    for path in sorted(path for pattern in ("data", *_SENT) for path in chosen.folder.glob(pattern)):
        if path.is_symlink():
            copy = "copy the folder with what its links lead to, and look at it: cp -rL"
            raise UsageError(f"{path} is a link, and what it leads to would be sent; {copy}")
