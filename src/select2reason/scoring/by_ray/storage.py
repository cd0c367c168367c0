"""A folder that all machines of a cluster reach: text shards are put there for them, score shards come back from there.

Any place that fsspec knows: `s3://bucket/prefix`, `gs://...`, `hdfs://...`, or a folder of a shared disk. A file is
there whole or not at all.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from select2reason.errors import RunError, Select2ReasonError, UsageError, in_a_line
from select2reason.parts import part_file
from select2reason.pool import Pool
from select2reason.progress import say
from select2reason.scoring.base import ScorerSpec, shard_path
from select2reason.text_shards import text_file

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from select2reason.scoring.local import Progress

_COPIES = 8  # files copied at once
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_WHOLE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss")  # a file appears there when all of it is there


@dataclass(frozen=True, slots=True)
class Storage:
    """The folder at `url`; names are paths within it. Raises UsageError where fsspec does not know it, or lacks a
    package; RunError where it cannot be used."""

    url: str

    def check(self) -> None:
        """Raises UsageError as below, without a look at what is there."""
        with self._opened():
            return

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each file in a folder, by its name; none where there is no folder."""
        with self._opened() as (files, root):
            files.invalidate_cache()
            try:
                found = files.ls(f"{root}/{folder}", detail=True)
            except FileNotFoundError:
                return {}
            return {str(one["name"]).rpartition("/")[2]: int(one["size"] or 0) for one in found}

    def put(self, file: Path, name: str) -> None:
        """Copy a file of this machine there."""
        with self._opened() as (files, root):
            path = f"{root}/{name}"
            if _protocol(files) in _WHOLE:
                files.put_file(str(file), path)
                return
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            part = f"{path}.{platform.node()}.{os.getpid()}.part"
            files.put_file(str(file), part)
            files.mv(part, path)

    def fetch(self, name: str, file: Path) -> None:
        """Copy a file from there to this machine."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with part_file(file) as part:
            with self._opened() as (files, root):
                files.get_file(f"{root}/{name}", str(part))
            part.replace(file)

    @contextmanager
    def _opened(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """The file system and the folder's path in it; what goes wrong there is one line."""
        try:
            files, root = _open(self.url)
            yield files, root.rstrip("/")
        except Select2ReasonError:
            raise
        except OSError as error:
            if error.errno in _NO_ROOM:  # of a machine's own disk, most likely
                raise
            raise self._refused(error) from error
        except Exception as error:  # each of these libraries has classes of its own
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> RunError:
        told = in_a_line(error) or type(error).__name__
        fix = "check --ray-storage and the rights to it, and run the same command again"
        return RunError(f"{self.url} cannot be used from {platform.node()} ({told}); {fix}")


@dataclass(frozen=True, slots=True)
class KeptPool:
    """A pool's text shards and a scorer's shards of it on a storage, under the names that they have in the cache."""

    storage: Storage
    pool: Pool
    scores: Path

    @classmethod
    def of(cls, pool: Pool, spec: ScorerSpec, url: str) -> KeptPool:
        """For one scorer's work."""
        return cls(Storage(anywhere(url)), pool, spec.folder(pool.root))

    def prepare(self, shards: Sequence[int], progress: Progress) -> list[int]:
        """Fetch what is scored there already, and copy there the text of the others, which are returned."""
        there = self.storage.sizes(self._name(self.scores))
        scored = [shard for shard in shards if shard_path(self.scores, shard).name in there]
        left = [shard for shard in shards if shard not in set(scored)]
        texts = {shard: text_file(self.pool.root, shard) for shard in left}
        there = self.storage.sizes(self._name(self.pool.root))
        texts = {shard: file for shard, file in texts.items() if there.get(file.name) != file.stat().st_size}
        with ThreadPoolExecutor(_COPIES) as threads:
            for shard, _ in zip(scored, threads.map(self.fetch, scored), strict=True):
                progress(self.pool.shards[shard])
            if texts:
                size = sum(file.stat().st_size for file in texts.values())
                say(f"plan: {len(texts)} text shards ({size / 1e6:,.1f} MB) to copy to {self.storage.url}")
            list(threads.map(lambda file: self.storage.put(file, self._name(file)), texts.values()))
        return left

    def fetch(self, shard: int) -> None:
        """Bring a score shard into the cache."""
        file = shard_path(self.scores, shard)
        self.storage.fetch(self._name(file), file)

    def _name(self, path: Path) -> str:
        """pools/KEY/..., or questions/KEY/..."""
        return str(path.relative_to(self.pool.root.parent.parent))

    @contextmanager
    def borrowed(self, shard: int) -> Iterator[Pool]:
        """On a worker: a pool of this one shard's text in a folder of its own; its score shard is put away after."""
        with TemporaryDirectory(prefix="select2reason-") as folder:
            root = Path(folder)
            text = text_file(root, shard)
            self.storage.fetch(self._name(text_file(self.pool.root, shard)), text)
            yield replace(self.pool, root=root)
            score = shard_path(root / self.scores.relative_to(self.pool.root), shard)
            self.storage.put(score, self._name(shard_path(self.scores, shard)))


def anywhere(url: str) -> str:
    """A folder under the name that it has on every machine, wherever a process stands; a URL as it is."""
    return url if "://" in url else str(Path(url).expanduser().absolute())


def _open(url: str) -> tuple[AbstractFileSystem, str]:
    try:
        import fsspec
    except ImportError:
        raise UsageError("--ray-storage needs fsspec: pip install 'select2reason[ray]'") from None
    protocol = url.partition("://")[0] if "://" in url else "file"
    if protocol not in fsspec.available_protocols():
        raise UsageError(f"--ray-storage {url}: fsspec knows no {protocol}://; give s3://, gs://, or a shared folder")
    try:
        files, root = fsspec.url_to_fs(url)
    except ImportError:
        from fsspec.registry import known_implementations

        package = known_implementations[protocol]["class"].partition(".")[0]
        raise UsageError(
            f"--ray-storage {url} needs the package {package} on every machine: pip install {package}"
        ) from None
    return files, str(root)


def _protocol(files: AbstractFileSystem) -> str:
    return files.protocol if isinstance(files.protocol, str) else str(files.protocol[0])
