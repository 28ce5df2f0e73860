"""Component: the base of whatever a suite can name (a dataset, a model, an explainer).

A component is a frozen pydantic model. Its fields are its parameters: typed, validated, part of the key
under which results are stored. Writing one means to subclass the family's base class, set ``name``,
declare fields and fill in the one method that differs.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from xai_bench.errors import InputError
from xai_bench.validation import one_line, plain_fields


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256(text: str | bytes) -> str:
    """Hexadecimal SHA-256 of a text (UTF-8) or of bytes."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


class Component(BaseModel):
    """Frozen, typed and hashable; two components with the same identity give the same results.

    Raises
    ------
    InputError
        From ``configured`` and from the constructor, in one line, for unknown fields and wrong values.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=False, allow_inf_nan=False
    )

    family: ClassVar[str]
    """The kind of component: ``datasets``, ``models`` or ``explainers``."""
    name: ClassVar[str]
    """The word a suite uses for it."""
    version: ClassVar[int] = 1
    """Raise it when the same fields give other numbers: stored results are then computed again."""
    later: ClassVar[tuple[str, ...]] = ()
    """Fields that came after the others, and whose default changes no number: at it they stay out of the identity, so
    that stored results keep their key."""
    depends_on: ClassVar[tuple[str, ...]] = ()
    """Of a component from outside the package: files that its numbers depend on and that are not imported (tables,
    modules that are loaded by name), relative to the file it stands in. Their content is part of the identity."""
    plugin_sha256: ClassVar[str | None] = None
    """Hash of the code of a component from outside the package, set by the registry."""

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(one_line(type(self), self.name, fields, error)) from None

    @model_validator(mode="before")
    @classmethod
    def _plainly(cls, fields: Any) -> Any:
        return plain_fields(cls, fields) if isinstance(fields, dict) else fields

    def check_size(self) -> None:
        """Raise InputError if its fields ask for more memory than this computer has: asked when a suite is read."""

    def fields(self) -> dict[str, Any]:
        """Field name to value, JSON-ready."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> dict[str, Any]:
        """Facts outside the fields that results depend on, such as the hash of a file that is read."""
        return {}

    def identity(self) -> dict[str, Any]:
        """All that results depend on, JSON-ready: the component's part of a cell's key."""
        facts = type(self).model_fields
        unset = {name for name in self.later if getattr(self, name) == facts[name].default}
        return {
            "name": self.name,
            "version": self.version,
            "fields": {name: value for name, value in self.fields().items() if name not in unset},
            "plugin": self.plugin_sha256,
            "fingerprint": self.fingerprint(),
        }

    def __hash__(self) -> int:
        return hash((self.name, canonical_json(self.fields())))


def check_memory(name: str, what: str, needed: float) -> None:
    """Raise InputError if so many bytes are more than this computer has (64 GiB where it does not say)."""
    try:
        there = float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        there = 64.0 * 2**30
    if needed > there:
        raise InputError(
            f"{name}: expected what fits into the memory of this computer, {there / 2**30:.3g} GiB, got {what} of "
            f"about {needed / 2**30:.3g} GiB: make it smaller"
        )


def stream_seed(stream: str, *parts: Any) -> int:
    """A 63-bit seed for one stream of randomness: ``stream_seed("model", 0, [1, 4])``.

    Streams with other names or parts are independent, so that adding an explainer, say, changes no other
    component's numbers.
    """
    return int(sha256(canonical_json([stream, *parts]))[:16], 16) >> 1
