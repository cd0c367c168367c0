"""EXPORT: the selection's folder as it is written, and handed over to trainers and to the Hub."""

from __future__ import annotations

from select2reason.export.data import as_examples, carried_names, write_data
from select2reason.export.folder import CONTAMINATION, Kind, check_out, file_digests, whole_folder

__all__ = [
    "CONTAMINATION",
    "Kind",
    "as_examples",
    "carried_names",
    "check_out",
    "file_digests",
    "whole_folder",
    "write_data",
]
