"""Read the text column of a pool and nothing else.

python read_text.py POOL
"""

import sys

import pyarrow.parquet as pq

for batch in pq.ParquetFile(sys.argv[1]).iter_batches(128, columns=["generations"]):
    batch.column(0).values.nbytes  # noqa: B018
