"""Select2Reason (arXiv 2505.17266): choose the best tenth of a pool of long chain-of-thought examples."""

__version__ = "0.1.0"
