"""The shards dealt out by Ray Data, and what comes back of them: a number a shard, or the line of what went wrong."""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from select2reason.errors import RunError, UsageError, in_a_line
from select2reason.pool import Pool
from select2reason.progress import say
from select2reason.scoring.base import RaySettings, ScorerSpec, shard_path
from select2reason.scoring.by_ray import cluster
from select2reason.scoring.by_ray.storage import KeptPool, Storage
from select2reason.scoring.by_ray.worker import SHARED, Tries, Worker, versions

if TYPE_CHECKING:
    from select2reason.scoring.local import Progress

_TRIES = 4  # of a shard whose workers die
_SEEN_S = 60.0  # NFS may show a new file that late


def check_ray(settings: RaySettings) -> None:
    """Raises UsageError where Ray, or what the storage takes, is not installed: before a pool is read for it."""
    if find_spec("ray") is None:
        raise UsageError("--engine ray needs the package ray: pip install 'select2reason[ray]'")
    if settings.storage is not None:
        Storage(settings.storage).check()


def score_by_ray(
    pool: Pool, spec: ScorerSpec, shards: Sequence[int], settings: RaySettings, *, progress: Progress
) -> None:
    """Score these shards; `progress` is told the rows of each that is done. Raises what a worker raised.

    Raises UsageError where Ray is missing or the cluster cannot be reached.
    """
    check_ray(settings)
    pool = replace(pool, root=pool.root.absolute())
    ours = cluster.connect(settings.address)
    kept = None if settings.storage is None else KeptPool.of(pool, spec, settings.storage)
    left = list(shards) if kept is None else kept.prepare(shards, progress)
    done = []
    try:
        with closing(_dealt_out(pool, spec, left, kept)) as scored:
            for shard in scored:
                if kept is not None:
                    kept.fetch(shard)
                done.append(shard)
                progress(pool.shards[shard])
    except BaseException as error:
        if ours and not isinstance(error, Exception):  # interrupted: this process may end without a word to Ray
            cluster.leave()
        raise
    _refuse_unseen(spec.folder(pool.root), done)


def _refuse_unseen(folder: Path, shards: Sequence[int]) -> None:
    """What a worker wrote must be seen here as well."""
    until = time.monotonic() + _SEEN_S
    while unseen := [shard for shard in shards if not shard_path(folder, shard).exists()]:
        if time.monotonic() > until:
            raise UsageError(f"{len(unseen)} shards were scored where this machine does not see them; {SHARED}")
        time.sleep(1)
        if folder.is_dir():
            list(folder.iterdir())  # asks the disk's server anew


def _dealt_out(
    pool: Pool, spec: ScorerSpec, shards: Sequence[int], kept: KeptPool | None
) -> Generator[int, None, None]:
    """Numbers of the shards as they are scored."""
    if not shards:
        return
    import ray.data
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    room = cluster.room(spec)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    tries = ray.remote(Tries).options(num_cpus=0, scheduling_strategy=here).remote()
    job = cloudpickle.dumps((pool, kept, room.spec))
    workers = min(len(shards), room.workers)
    with cluster.quiet():
        scored = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        scored = scored.map_batches(
            Worker,
            batch_size=1,
            fn_constructor_args=(job, tries, _TRIES, versions()),
            compute=ray.data.ActorPoolStrategy(
                min_size=1, initial_size=workers, max_size=len(shards), max_tasks_in_flight_per_actor=room.ahead
            ),
            num_cpus=room.cpus,
            num_gpus=room.gpus,
            runtime_env={"env_vars": room.environment},
        )
        rows = iter(scored.iter_rows())
        del scored  # an error would keep it, and with it the workers and their room
        yield from _told_of(rows)


def _told_of(rows: Generator[Mapping[str, object], None, None]) -> Generator[int, None, None]:
    """The shards of what the workers send back. What they refuse is raised, and what Ray cannot do, as a line; a
    defect of a scorer with its traceback, as anywhere else."""
    from ray.exceptions import RayError, RayTaskError

    failure: Exception | None = None
    try:
        for row in rows:
            if row["error"]:
                raise (UsageError if row["usage"] else RunError)(str(row["error"]))
            if cast(int, row["tries"]) > 1:
                say(f"a worker died over shard {row['shard']}; another has scored it")
            yield cast(int, row["shard"])
    except RayTaskError as error:
        failure = RuntimeError(str(error))
    except RayError as error:
        told = in_a_line(error, 300)
        failure = RunError(f"Ray failed ({told}); what was finished is kept: run the same command again")
    finally:
        rows.close()
    if failure is not None:  # raised here, for Ray's own would keep the workers alive, and their room taken
        gc.collect()
        raise failure
