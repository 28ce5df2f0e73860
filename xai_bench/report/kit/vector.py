"""Figures as lean <svg> elements for inlining: nothing in them that cannot be seen, or is said twice."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, fromstring, tostring

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GREY, PALE = "#22252a", "#85888e", "#dcdbd6"
SCHEME = {INK: "var(--ink)", GREY: "var(--grey)", PALE: "var(--pale)"}
"""These follow the scheme of the page, light or dark."""
REFERENCE = re.compile(r"^#([\w.-]+)$|(?<=url\(#)[\w.-]+")
NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


def svg(figure: Figure, key: str) -> str:
    """The figure as an <svg> element, at one unit a pixel, with all of its text inside.

    No date, no program; ids that nothing refers to are gone, the others begin with ``key``, so that figures on one
    page cannot refer to one another's parts. Ink and greys follow the page's scheme.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.08, metadata=NOTHING)
    root = fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text, element.tail = (element.text or "").strip() or None, None
        element.attrib = {name.rpartition("}")[2]: _short(name, text) for name, text in element.attrib.items()}
    _rename(root, key)
    root[:] = [kept for child in root for kept in _seen(child)]
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "viewBox": root.attrib["viewBox"], "width": f"{float(width):.0f}", "height": f"{float(height):.0f}",
        "aria-hidden": "true",
    }  # fmt: skip
    return tostring(root, encoding="unicode", short_empty_elements=True).replace(" />", "/>")


def _short(name: str, text: str) -> str:
    """The value of an attribute without needless digits, blanks and fonts, in the colours of the page."""
    if name == "d":
        return _path(text)
    if name in ("x", "y"):
        return _number(text)
    if name == "transform":
        return re.sub(r"(\.\d\d)\d+", r"\1", text)
    if name == "style":
        text = re.sub(r"([:;]) +", r"\1", text)
        text = re.sub(r"(font: ?[^;]*?px )[^;]*", r"\1sans-serif", text)
        text = re.sub(r"font-family:[^;]*;?", "", text)
        text = re.sub(r"(\.\d\d)\d+", r"\1", text)
        for color, own in SCHEME.items():
            text = text.replace(color, own)
    return text


def _number(text: str) -> str:
    """To a tenth of a pixel."""
    return f"{round(float(text), 1) + 0.0:g}"


def _path(text: str) -> str:
    """Lines along an axis as such; parts that are drawn twice, once."""
    at, parts = ["", ""], list[str]()
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", text):
        values = [_number(number) for number in numbers.split()]
        said = command + " ".join(values)
        if command == "L" and values[0] == at[0]:
            said = f"V{values[1]}"
        elif command == "L" and values[1] == at[1]:
            said = f"H{values[0]}"
        if command == "M":
            parts.append("")
        parts[-1] += said
        at = values[-2:] or at
    return "".join(dict.fromkeys(parts))


def _rename(root: Element, key: str) -> None:
    """Drops ids that nothing refers to; the others are numbered in their order."""
    texts = [text for element in root.iter() for text in element.attrib.values()]
    used = {name.removeprefix("#") for text in texts for name in (m[0] for m in REFERENCE.finditer(text))}
    present = [element.attrib["id"] for element in root.iter() if element.get("id") in used]
    short = {name: f"{key}-{i}" for i, name in enumerate(present)}
    for element in root.iter():
        own = element.attrib.pop("id", "")
        for name, text in element.attrib.items():
            element.attrib[name] = REFERENCE.sub(lambda m: "#" * (m[0][0] == "#") + short[m[0].removeprefix("#")], text)
        if own in short:
            element.attrib = {"id": short[own], **element.attrib}


def _seen(element: Element) -> list[Element]:
    """What stands for an element: itself; its parts, if it is a group that says nothing; nothing, if it is not seen."""
    parts = [kept for child in element for kept in _seen(child)]
    element[:] = {tostring(part) if part.tag == "use" else i: part for i, part in enumerate(parts)}.values()
    if element.tag == "text" and element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    if element.tag == "metadata" or (element.tag in ("g", "defs") and not len(element)):
        return []
    if element.tag == "path" and element.attrib.get("style") == "fill:none" and "id" not in element.attrib:
        return []
    if element.tag == "g":
        looks = {part.get("style") if part.tag == "use" else None for part in element}
        if len(looks) == 1 and None not in looks and "style" not in element.attrib:
            element.attrib["style"] = element[0].attrib["style"]
            for part in element:
                del part.attrib["style"]
    return [element] if element.tag != "g" or element.attrib else list(element)
