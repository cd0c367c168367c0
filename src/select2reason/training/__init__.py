"""TRAIN (METHOD 6): a selection and a model in, a tuned model out, by TRL's trainer in a process of its own."""

from __future__ import annotations

from select2reason.training.record import Trained
from select2reason.training.run import train
from select2reason.training.settings import Means, TrainSettings

__all__ = ["Means", "TrainSettings", "Trained", "train"]
