"""REPORT: one self-contained HTML page that shows what was chosen, from what, and why (METHOD 1-5, 9)."""

from select2reason.report.page import Examples, analysis_page, selection_page
from select2reason.report.study import Group, Study, rethinking_study

__all__ = ["Examples", "Group", "Study", "analysis_page", "rethinking_study", "selection_page"]
