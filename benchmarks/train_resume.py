"""Whether training learns, and whether a killed training comes to the same as one left in peace: all weights and LoRA.

    PYTHON benchmarks/train_resume.py SELECTION MODEL OUT [STEPS] [KILLED_AT] [BATCH]

For each of the two: one run undisturbed, one killed (SIGKILL to all its processes) at a step and begun again by the
same command. Printed: losses, steps, and the largest difference of a step's loss between the two runs. Exits 1 where a
loss does not fall or the runs end differently.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

selection, model, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
given = dict(enumerate(map(int, sys.argv[4:])))
steps, killed_at, batch = given.get(0, 30), given.get(1, 15), given.get(2, 2)
_NOISE = 1e-3  # of a loss; threads add in another order


def command(folder: Path, *words: str) -> list[str]:
    own = [sys.executable, "-m", "select2reason", "train", str(selection), "--model", model, "--out", str(folder)]
    fixed = ["--max-steps", str(steps), "--batch-size", str(batch), "--save-every", "5", "--no-gradient-checkpointing"]
    return [*own, *fixed, *words]


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def kill_at(folder: Path, step: int, *words: str) -> int:
    """Kill a training and all its processes once a step is in the log; the last step that was."""
    run = subprocess.Popen(command(folder, *words), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (folder / "log.jsonl").exists() or max(losses(folder), default=0) < step:
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    for process in [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]:
        os.kill(process.pid, signal.SIGKILL)
    run.wait()
    return max(losses(folder))


def main() -> int:
    failed = 0
    for name, words in (("all weights", []), ("LoRA", ["--lora"])):
        calm, disturbed = out / f"{name.split()[0]}-calm", out / f"{name.split()[0]}-killed"
        subprocess.run(command(calm, *words), check=True)
        died = kill_at(disturbed, killed_at, *words)
        subprocess.run(command(disturbed, *words), check=True)
        one, two = losses(calm), losses(disturbed)
        apart = max(abs(one[step] - two[step]) for step in one)
        first, last = (sum(list(one.values())[part]) / 5 for part in (slice(None, 5), slice(-5, None)))
        print(
            f"{name}: mean loss of the first five steps {first:.4f}, of the last five {last:.4f}; "
            f"killed after step {died}; steps {max(one)} and {max(two)}; last losses {one[max(one)]:.6f} and "
            f"{two[max(two)]:.6f}, most apart by {apart:.2e}"
        )
        failed |= last >= first or one.keys() != two.keys() or apart > _NOISE
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
