"""VIEW: a local page over a scored pool: other weights and sizes at once, every example read as it is.

The server is in `view.server`; it loads what it needs of the web.
"""

from select2reason.view.answers import Answers
from select2reason.view.explored import Explored, explore, read_manifest
from select2reason.view.handing import Recorded

__all__ = ["Answers", "Explored", "Recorded", "explore", "read_manifest"]
