"""What names a model's weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from select2reason.backends import loading


@pytest.mark.parametrize("at", [0, 9 << 20, 20 << 20, (30 << 20) - 1])
def test_weights_that_differ_anywhere_are_another_model(at: int, tmp_path: Path) -> None:
    names = []
    for part in (b"", b"\1" * (1 << 20)):
        folder = tmp_path / str(len(part))
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        weights = bytearray(30 << 20)
        start = min(at, len(weights) - len(part))
        weights[start : start + len(part)] = part
        (folder / "model.safetensors").write_bytes(weights)
        names.append(loading.model_fingerprint(str(folder)))
    assert names[0] != names[1]
