"""Text that others wrote, shown and never obeyed: what would colour, move, hide or reorder it becomes a visible sign.

For terminals, pages and files alike; markup is the matter of those who write markup.
"""

from __future__ import annotations

import re

# C0 and C1 but not tab and newline, DEL, and the direction overrides and isolates (the plain marks U+200E/F are left:
# right-to-left questions need them).
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MARKUP = re.compile(r"[\\`<\[|&]")
_PICTURES_BELOW = 0x20  # U+2400.. holds a picture for each of the C0 controls


def visible(text: str) -> str:
    """Control characters as signs: ESC becomes ␛, a right-to-left override ⟦U+202E⟧."""
    return _CONTROLS.sub(_sign, text.replace("\r\n", "\n"))


def on_a_line(text: str) -> str:
    """The same on one line: a newline becomes ␊, so that no name can add a line of its own."""
    return visible(text).replace("\n", "␊")


def escaped(json: str) -> str:
    """JSON whose strings hold no such character as it is: what they say is the same."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", json)


def in_code(text: str) -> str:
    """For a code span of Markdown: nothing ends it early."""
    return on_a_line(" ".join(text.replace("`", "").split()))


def in_prose(text: str) -> str:
    """For Markdown: no markup, no table's cell, no line of its own."""
    return _MARKUP.sub(r"\\\g<0>", on_a_line(" ".join(text.split())))


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < _PICTURES_BELOW else f"⟦U+{code:04X}⟧"
