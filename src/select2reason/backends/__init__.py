"""The edge: language models that run here or behind an endpoint. Heavy packages are imported in these files alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from select2reason.errors import UsageError

if TYPE_CHECKING:
    from select2reason.backends.base import Backend

Kind = Literal["transformers", "vllm", "openai"]
_ADDRESS = re.compile(r"https?://([^/:@\s?#]+|\[[0-9a-f:]+\])(:\d+)?(/[^\s?#]*)?", re.IGNORECASE)
_HERE = ("transformers", "vllm")
_OF = {  # which engines a setting is for: elsewhere it would be ignored
    "base_url": ("openai",),
    "concurrency": ("openai",),
    "timeout_s": ("openai",),
    "batch_tokens": ("transformers",),
    "max_model_len": ("vllm",),
    "revision": _HERE,
    "dtype": _HERE,
    "trust_remote_code": _HERE,
}


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Which engine runs which model, and how. None: as the engine does by itself. `batch_tokens` is of transformers,
    `max_model_len` of vLLM, what follows it of OpenAI-compatible servers."""

    kind: Kind
    model: str
    revision: str | None = None
    dtype: str | None = None
    trust_remote_code: bool = False
    batch_tokens: int | None = None
    max_model_len: int | None = None
    base_url: str | None = None
    concurrency: int = 32
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in (kinds := get_args(Kind)):
            raise UsageError(f"a backend is not {self.kind!r}; it can be {', '.join(kinds)}")
        if self.kind == "openai" and not self.base_url:
            raise UsageError(
                "--backend openai needs the server's address, for example --base-url http://127.0.0.1:8000/v1"
            )
        for name, wanted in _OF.items():
            if self.kind not in wanted and getattr(self, name) != _DEFAULTS[name]:
                option = name.removesuffix("_s").replace("_", "-")
                raise UsageError(f"--{option} is for --backend {' or '.join(wanted)}, not for {self.kind}")
        check_address(self.base_url)

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """What the model's words depend on: engine, weights, number type (where none is asked for, the machine's own is
        taken, and not told apart). A server's weights are known by name."""
        if self.kind == "openai":
            return (self.kind, str(self.base_url).rstrip("/"), self.model)
        from select2reason.backends.loading import model_fingerprint

        return (
            self.kind,
            model_fingerprint(self.model, self.revision),
            self.dtype or "",
            str(self.max_model_len or ""),
        )


def check_address(base_url: str | None) -> str | None:
    """A server's address, as it came. Raises UsageError where it is none, or holds what may be secret: addresses are
    written down and shown."""
    if not base_url or _ADDRESS.fullmatch(base_url):
        return base_url
    if re.search("[@?#]", base_url):
        raise UsageError(
            "--base-url is written into manifests, so it takes no user, password, key or query; give it as "
            "http://host:8000/v1, and the key as OPENAI_API_KEY"
        )
    raise UsageError(f"--base-url {base_url} is no address; it begins with http:// or https://, as http://host:8000/v1")


_DEFAULTS = {one.name: one.default for one in fields(BackendSettings)}


def open_backend(settings: BackendSettings) -> Backend:
    """Load the model, or connect to the server. Raises UsageError or RunError with the fix."""
    common = {"revision": settings.revision, "dtype": settings.dtype, "trust_remote_code": settings.trust_remote_code}
    if settings.kind == "transformers":
        from select2reason.backends.transformers import TransformersBackend

        return TransformersBackend(settings.model, batch_tokens=settings.batch_tokens, **common)  # type: ignore[arg-type]
    if settings.kind == "vllm":
        from select2reason.backends.vllm import VllmBackend

        return VllmBackend(settings.model, max_model_len=settings.max_model_len, **common)  # type: ignore[arg-type]
    from select2reason.backends.openai import OpenaiBackend

    return OpenaiBackend(
        settings.model,
        base_url=str(settings.base_url),
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
    )


def anywhere(settings: BackendSettings) -> BackendSettings:
    """The same for a process in another folder: a model's folder by its whole path."""
    model = Path(settings.model).expanduser()
    here = settings.kind != "openai" and model.is_dir()
    return replace(settings, model=str(model.absolute())) if here else settings


def gpus_each(settings: BackendSettings) -> int:
    """GPUs that one copy of the model takes, on the machine that it is asked on."""
    if settings.kind != "vllm":
        return 1
    from select2reason.backends.vllm import gpus_for

    return gpus_for(settings.model, trust_remote_code=settings.trust_remote_code)


def gpus(settings: BackendSettings) -> int:
    """Workers that a scorer on this engine should have: one for each GPU that a whole model fits."""
    if settings.kind == "openai":
        return 1
    from select2reason.backends.loading import gpu_count

    count = gpu_count()
    if settings.kind == "vllm" and count > 1:
        return max(1, count // gpus_each(settings))
    return max(1, count)
