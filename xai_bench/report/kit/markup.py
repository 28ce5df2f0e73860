"""From what a section returns to HTML and Markdown. Everything but markup of this program is escaped."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from xai_bench.report.kit.section import Section


def render(template: str, **variables: Any) -> Markup:
    """A template of this package, ``.j2`` left out, as markup."""
    return Markup(environment().get_template(f"{template}.j2").render(**variables))


@cache
def environment() -> Environment:
    """With the filters that the templates use."""
    jinja = Environment(
        loader=PackageLoader("xai_bench.report"),
        autoescape=lambda name: name is None or ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.globals["vendored"] = lambda name: files("xai_bench.report").joinpath("vendor", name).read_text("utf-8")
    jinja.filters |= {
        "prose": prose,
        "markdown": markdown,
        "soft": _soft,
    }
    return jinja


def prose(text: str) -> Markup:
    """Escaped, with names in backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def markdown(text: str) -> str:
    """Safe in Markdown: no HTML, no links, no breaks of lines or columns."""
    safe = str(escape(text)).replace("&#39;", "'").replace("&#34;", '"').replace("|", "\\|").replace("\n", " ")
    return safe.replace("](", "]\\(")


def _soft(label: str) -> Markup:
    """Escaped; a line may break after an underscore."""
    return Markup(str(escape(label)).replace("_", "_<wbr>"))


def notice(text: str) -> Markup:
    """A paragraph that stands out."""
    return Markup('<p class="notice">{}</p>\n').format(prose(text))


def of_section(section: Section) -> tuple[Markup, str]:
    """The body of a section for the page, without its heading, and for the summary: no figures, no folded tables."""
    content = {
        "words": section.words(), "figures": section.figures(), "tables": section.tables(),
        "html": Markup(section.html()), "text": section.markdown(), "findings": [t for t in section.findings() if t],
    }  # fmt: skip
    return render("section.html", **content), str(render("section.md", **content))
