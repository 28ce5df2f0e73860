"""What mkdocs calls while it builds the manual: pages are generated, code is run, links leave ``docs/``."""

from __future__ import annotations

import inspect
import json
import logging
from typing import Any

from mkdocs.structure.files import File, Files

import xai_bench
from docs.hooks import cells, components, docstrings, linked

log = logging.getLogger("mkdocs.hooks.manual")
TUTORIALS = "tutorials/"
API = "api.md"
UNTITLED = "    options: {show_root_heading: false, show_root_toc_entry: false}"
GENERATED = {API, *(f"components/{family}.md" for family in components.ABOUT)}


def on_config(config: Any) -> Any:
    """Leave out of the list of pages what is not there: parts of the manual may be absent."""
    config.nav = _present(config.nav)
    return config


def _present(nav: list[Any]) -> list[Any]:
    """The pages that exist or are generated, and the sections that have one."""
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, str):
            found += [entry] if entry in GENERATED or (linked.DOCS / entry).is_file() else []
        else:
            ((title, pages),) = entry.items()
            kept = _present(pages if isinstance(pages, list) else [pages])
            found += [{title: kept if isinstance(pages, list) else pages}] if kept else []
    return found


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of components, the API and the files that links name."""
    pages = {page.src_uri: page.content_string for page in files.documentation_pages()}
    for family in components.ABOUT:
        files.append(File.generated(config, f"components/{family}.md", content=components.page(family)))
    files.append(File.generated(config, API, content=api()))
    copied = {}
    for page, markdown in pages.items():
        for link, path in linked.outside(markdown, page):
            if not path.is_file():
                log.warning("%s: no such file: %s", page, link)
                continue
            copied |= {linked.place(one): one for one in linked.copies(path)}
    for place, path in copied.items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def api() -> str:
    """A page with the docstring of every public name."""
    lines = ["# API", "", "Every public name, as `from xai_bench import NAME`.", ""]
    for name in sorted(xai_bench._HOME, key=str.lower):
        path = f"xai_bench.{xai_bench._HOME[name]}.{name}"
        if path in docstrings.MADE:
            signature = str(inspect.signature(docstrings.function(path))).replace("'", "")
            lines += [f"## {name}", "", f"```python\n{name}{signature}\n```", "", f"::: {path}", UNTITLED, ""]
        else:
            lines += [f"::: {path}", ""]
    return "\n".join(lines)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Run the code of tutorials, show tables that stand in files, let links find the copies of what they name."""
    name = page.file.src_uri
    if name.startswith(TUTORIALS):
        found = cells.run(markdown)
        made = json.dumps(cells.notebook(found), indent=1)
        place = name.removesuffix(".md") + ".ipynb"
        files.append(File.generated(config, place, content=made))
        link = f"[This page as a notebook]({place.removeprefix(TUTORIALS)})"
        markdown = f"{cells.shown(found)}\n{link}; its outputs are those of the build of this manual.\n"
    return linked.redirected(linked.with_tables(markdown, name), name)
