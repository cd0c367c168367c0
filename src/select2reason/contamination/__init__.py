"""CONTAMINATION: questions of a pool that are problems of a benchmark, word for word or with other numbers.

The benchmarks of METHOD 7 ship as hashes of runs of words (`prints`), so nothing is fetched and no text of theirs is
here; a user's own benchmark files are hashed the same way. `overlap` compares; each hit is a row of evidence.
"""

from select2reason.contamination.overlap import HIT, Index, closest, evidence, find_hits
from select2reason.contamination.prints import Prints, joined, load_prints, make_prints

__all__ = ["HIT", "Index", "Prints", "closest", "evidence", "find_hits", "joined", "load_prints", "make_prints"]
