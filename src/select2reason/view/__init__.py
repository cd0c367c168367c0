"""VIEW: a local page over a scored pool: other weights and sizes at once, every example read as it is."""

from select2reason.view.explored import Explored, explore, manifest_of
from select2reason.view.handing import Recorded
from select2reason.view.server import serve

__all__ = ["Explored", "Recorded", "explore", "manifest_of", "serve"]
