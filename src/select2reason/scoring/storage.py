"""A folder that all machines of a cluster reach: text shards are put there for them, score shards come back from there.

Any place that fsspec knows: `s3://bucket/prefix`, `gs://...`, `hdfs://...`, or a folder of a shared disk. A file is
there whole or not at all.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from select2reason.errors import RunError, Select2ReasonError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

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
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        try:
            with self._opened() as (files, root):
                files.get_file(f"{root}/{name}", str(part))
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _opened(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """The file system and the folder's path in it; what goes wrong there is one line."""
        try:
            files, root = _open(self.url)
            yield files, root.rstrip("/")
        except Select2ReasonError:
            raise
        except Exception as error:  # each of these libraries has classes of its own
            told = " ".join(str(error).split())[:200] or type(error).__name__
            fix = "check --ray-storage and the rights to it, and run the same command again"
            raise RunError(f"{self.url} cannot be used from {platform.node()} ({told}); {fix}") from error


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
