"""Make the prints of the benchmarks that ship with the program, from the benchmarks' own files.

    python benchmarks/fingerprint_benchmarks.py FOLDER

FOLDER holds a file for each benchmark, as for `select2reason evaluate --data`. Puzzles of knights and knaves are left
out: they are drawn from a generator, so all of them share their words.
"""

import sys
from pathlib import Path

from select2reason import contamination
from select2reason.benchmarks import BENCHMARKS, Benchmark
from select2reason.contamination.prints import BUNDLED, make_prints, write_prints
from select2reason.tables import read_frame


def questions(benchmark: Benchmark, folder: Path) -> list[str | None] | None:
    names = (benchmark.name, *benchmark.files)
    found = [folder / f"{name}{end}" for name in names for end in (".jsonl", ".parquet")]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        print(f"{benchmark.name}: no file")
        return None
    frame = read_frame([str(path)])
    column = next(name for name in benchmark.question if name in frame.columns)
    return frame[column].to_list()


def main() -> None:
    folder = Path(sys.argv[1])
    asked = {one.name: questions(one, folder) for one in BENCHMARKS.values() if one.form != "roles"}
    prints = make_prints({name: texts for name, texts in asked.items() if texts is not None})
    path = Path(contamination.__file__).with_name(BUNDLED)
    write_prints(prints, path)
    print(prints.problems.group_by("benchmark", maintain_order=True).len(), f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
