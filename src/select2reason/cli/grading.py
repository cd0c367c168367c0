"""`grade`: is an answer right?"""

from __future__ import annotations

from typing import Annotated

import typer

from select2reason.cli import interrupts
from select2reason.cli.app import app
from select2reason.cli.options import (
    READ,
    AsJson,
    Config,
    Force,
    OutFile,
    Revision,
    Split,
    echo,
    print_json,
    print_paths,
)


@app.command(
    epilog="""
Examples:

`select2reason grade answers.jsonl --prediction output --gold answer --out graded.jsonl`

`select2reason grade OpenR1.parquet --prediction generations --gold answer --out graded.parquet`
"""
)
def grade(
    file: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="File, folder or glob of JSONL, Parquet or Arrow, or a Hub dataset id."),
    ],
    prediction: Annotated[
        str,
        typer.Option(
            metavar="COL",
            help="Column of completions or of bare answers; or of lists of them, which gives lists of verdicts.",
            rich_help_panel=READ,
        ),
    ],
    gold: Annotated[
        str, typer.Option(metavar="COL", help="Column of right answers, or of solutions.", rich_help_panel=READ)
    ],
    out: OutFile,
    split: Split = None,
    config: Config = None,
    revision: Revision = None,
    taken: Annotated[
        str | None, typer.Option(metavar="NAME", help="Write the answer that was taken as well, into this column.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that compare formulas. [default: one a core, at most 8]")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Grade answers: the file's own columns plus `correct` (true, false, null = cannot be judged)."""
    from select2reason.grading.table import grade_table
    from select2reason.tables import check_file, read_frame

    check_file(out, force=force, reads=file)
    interrupts.nothing_is_kept()
    needed = {"--prediction": prediction, "--gold": gold}
    frame = read_frame(file, needed=needed, split=split, config=config, revision=revision)
    grades = grade_table(frame, out, prediction=prediction, gold=gold, taken=taken, workers=workers, force=force)
    if as_json:
        print_json(grades)
        return
    share = "" if grades.share_right is None else f" ({grades.share_right:.1%} of those judged)"
    echo(f"{grades.answers:,} answers in {grades.rows:,} rows: {grades.right:,} right{share},", nl=False)
    if grades.without:
        echo(f" {grades.without:,} rows without any,", nl=False)
    echo(f" {grades.wrong:,} wrong ({grades.missing:,} of them blank), {grades.not_judged:,} cannot be judged")
    print_paths([out])
