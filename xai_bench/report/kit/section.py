"""One section of the page: what it holds, where it stands, and what is printed if it fails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd
from markupsafe import Markup

from xai_bench import registry
from xai_bench.report.kit import markup, wording
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.tables import Table

NOTHING = Markup()


@dataclass(frozen=True)
class Figure:
    """``drawing`` is an <svg> element, or other markup that needs no file. ``label`` says in words what it shows.

    ``look``: a class of the style sheet.
    """

    drawing: str
    label: str
    caption: str
    look: str = ""


class Section:
    """Subclass it, and list it under the entry points ``xai_bench.sections``, or register it in a plugin.

    A section reads ``self.frames``, and one of a dataset also ``self.dataset``, its label. What its methods return is
    shown in the order in which they stand here. An exception in any of them is printed in the section's place.

    Attributes
    ----------
    id : the anchor on the page, and the name of the entry point
    title : the heading; a part of a dataset without one has no heading and no anchor in the contents
    label : the name in the table of contents; the title if it is empty
    order : sections stand in ascending order
    within : ``datasets`` for a part of the page of every dataset
    look : a class of the style sheet
    in_summary : it stands in summary.md as well; parts of datasets never do
    """

    family: ClassVar[str] = "sections"
    name: ClassVar[str]
    id: ClassVar[str]
    title: ClassVar[str] = ""
    label: ClassVar[str] = ""
    order: ClassVar[int]
    within: ClassVar[str] = ""
    look: ClassVar[str] = ""
    in_summary: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        if "id" in cls.__dict__:
            cls.name = cls.id

    def __init__(self, frames: Frames, dataset: str = "") -> None:
        self.frames = frames
        self.dataset = dataset
        self.key = self.id
        """No figure of another section of the page has this ``key``."""

    @property
    def draw(self) -> dict[str, Any]:
        """What is known of the first draw of the dataset; {} if none was loaded."""
        return next(iter(self.frames.draws(self.dataset)), {})

    def needs(self) -> bool | str:
        """Whether there is something to show. A text is the reason why there is not; it is shown in its place."""
        return True

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The numbers behind the section."""
        return pd.DataFrame()

    def words(self) -> str:
        """What is shown: two sentences at the most. As in all words, names stand in backticks."""
        return ""

    def figures(self) -> list[Figure]:
        return []

    def tables(self) -> list[Table]:
        return []

    def html(self) -> str:
        """Whatever else belongs on the page."""
        return ""

    def markdown(self) -> str:
        """What stands in the summary instead of ``html``."""
        return ""

    def findings(self) -> list[str]:
        """What the numbers say: paragraphs that are made from them, folded away with the tables that are."""
        return []


@dataclass(frozen=True)
class Shown:
    """A section as text. ``absent``: why it is left out; the rest is then empty."""

    id: str
    title: str
    label: str
    look: str = ""
    html: Markup = NOTHING
    summary: str = ""
    absent: str = ""


def known() -> list[type[Section]]:
    """The sections of this program and of plugins, in their order; those that cannot be loaded say so, at the end."""
    return sorted((_load(name) for name in registry.names("sections")), key=lambda kind: (kind.order, kind.id))


def _load(name: str) -> type[Section]:
    try:
        kind = registry.get("sections", name)
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            raise TypeError(f"expected a subclass of Section, got {kind!r}")
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", kind.id) or not isinstance(kind.order, int):
            raise ValueError(f"expected an id in small letters and a whole order, got {kind.id!r} and {kind.order!r}")
        return kind
    except Exception as error:
        cause = error

    class NotLoaded(Section):
        id, title, order = name, name, 10_000

        def needs(self) -> bool:
            raise cause

    return NotLoaded


def show(kind: type[Section], frames: Frames, dataset: str = "") -> Shown | None:
    """The section as text, or the reason why it failed; None if it has nothing to show."""
    title = wording.without_paths(kind.title)
    label = wording.without_paths(kind.label) or title
    try:
        section = kind(frames, dataset)
        needed = section.needs()
        if isinstance(needed, str):
            return Shown(kind.id, title, label, absent=needed)
        if not needed:
            return None
        html, summary = markup.of_section(section)
        return Shown(kind.id, title, label, kind.look, html, summary if kind.in_summary and not dataset else "")
    except (Exception, SystemExit) as error:
        reason = wording.reason(error)
        failed = f"The section `{kind.id}` is not shown, because it failed: {reason}"
        return Shown(
            kind.id, title or kind.id, label or kind.id, "", markup.notice(failed), f"{markup.markdown(failed)}\n"
        )
