"""REPORT: one self-contained HTML page that shows what was chosen, from what, and why (METHOD 1-5, 9)."""

from select2reason.report.facts import flag_counts
from select2reason.report.findings import Finding, findings, rows_to_show
from select2reason.report.hits import SHOWN_HITS, Hit, hits, hits_to_show
from select2reason.report.page import Examples, Shown, analysis_page, comparison_page, selection_page
from select2reason.report.study import Group, Study, rethinking_study

__all__ = [
    "SHOWN_HITS",
    "Examples",
    "Finding",
    "Group",
    "Hit",
    "Shown",
    "Study",
    "analysis_page",
    "comparison_page",
    "findings",
    "flag_counts",
    "hits",
    "hits_to_show",
    "rethinking_study",
    "rows_to_show",
    "selection_page",
]
