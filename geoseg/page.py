"""Pages of a report: one HTML file that needs nothing but the pictures beside it.

What a page holds is made of the functions below; they take plain text and escape it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from geoseg.classes import ClassInfo
from geoseg.metrics import ConfusionMatrix

__all__ = [
    "bullets",
    "class_scores",
    "figure",
    "number",
    "numbers",
    "page",
    "paragraph",
    "section",
    "side_by_side",
    "table",
]

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid #ddd; }
p { margin: .5rem 0; max-width: 46rem; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption, caption, .small { color: #555; font-size: .875rem; text-align: left; }
caption { padding-bottom: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; vertical-align: top;
         border-bottom: 1px solid #eee; }
thead th { border-bottom: 1px solid #888; font-weight: 600; }
th:first-child, td.text { text-align: left; }
tbody th { font-weight: normal; white-space: nowrap; }
td.text { overflow-wrap: anywhere; }
i.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .5em;
           border: 1px solid #777; }
dl.numbers { display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; margin: 1.25rem 0; }
dl.numbers dt { color: #555; font-size: .875rem; }
dl.numbers dd { margin: 0; font-size: 1.6rem; line-height: 1.3; }
div.pair { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
div.pair > * { flex: 0 1 auto; max-width: 100%; }
"""

ABSENT = (
    "Classes without support have no pixel in the truth: where the map has such a class, its IoU "
    "is 0 and counts in the mean; one that the map has not either is left out."
)


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page.

    Parameters
    ----------
    title : str
    parts : iterable of str
        HTML, as the other functions make it.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def section(title: str, parts: Iterable[str]) -> str:
    """Parts under a heading; nothing where there are none."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def side_by_side(parts: Iterable[str]) -> str:
    """Parts beside each other where the window is wide enough."""
    return '<div class="pair">\n' + "\n".join(parts) + "\n</div>"


def paragraph(text: str) -> str:
    """Running text."""
    return f"<p>{escape(text)}</p>"


def numbers(facts: Iterable[tuple[str, str]]) -> str:
    """A few numbers that matter most, each under its name."""
    inside = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
    return f'<dl class="numbers">{inside}</dl>' if inside else ""


def bullets(facts: Iterable[tuple[str, str]]) -> str:
    """Files beside the page, as links, and what each one is."""
    inside = "".join(
        f'<li><a href="{escape(name)}">{escape(name)}</a>: {escape(about)}</li>'
        for name, about in facts
    )
    return f"<ul>{inside}</ul>"


def figure(file: str, about: str) -> str:
    """A picture beside the page, and what it shows."""
    name = escape(file.rpartition(".")[0].replace("_", " "))
    return (
        f'<figure><img src="{escape(file)}" alt="{name}">'
        f"<figcaption>{escape(about)}</figcaption></figure>"
    )


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    colors: Sequence[str] = (),
    text: bool = False,
) -> str:
    """A table whose rows begin with their name.

    Parameters
    ----------
    columns : sequence of str
        Heads; none for a list of facts.
    rows : iterable of sequences of str
    caption : str
    colors : sequence of str
        ``#rrggbb`` of each row, shown before its name; rows past the last one have none.
    text : bool
        Whether cells hold words, not numbers.
    """
    cell = '<td class="text">' if text else "<td>"
    lines = [f"<caption>{escape(caption)}</caption>"] if caption else []
    if columns:
        heads = "".join(f'<th scope="col">{escape(each)}</th>' for each in columns)
        lines.append(f"<thead><tr>{heads}</tr></thead>")
    lines.append("<tbody>")
    for place, (name, *cells) in enumerate(rows):
        swatch = _swatch(colors[place]) if place < len(colors) else ""
        inside = "".join(f"{cell}{escape(each)}</td>" for each in cells)
        lines.append(f'<tr><th scope="row">{swatch}{escape(name)}</th>{inside}</tr>')
    lines.append("</tbody>")
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def class_scores(classes: Sequence[ClassInfo], matrix: ConfusionMatrix, caption: str = "") -> str:
    """A table of the scores of each class, and how those without pixels count."""
    columns = matrix.by_class()
    rows = [
        [each.name, *(number(column[place]) for column in columns.values())]
        for place, each in enumerate(classes)
    ]
    colors = [each.color for each in classes]
    made = table(["class", *columns], rows, caption=caption, colors=colors)
    return made if matrix.support().all() else f"{made}\n{paragraph(ABSENT)}"


def number(value: float | None) -> str:
    """A score with three decimals, a count in thousands; a dash for none."""
    if value is None or np.isnan(value):
        return "–"
    return f"{value:,d}" if isinstance(value, int | np.integer) else f"{value:.3f}"


def _swatch(color: str) -> str:
    return f'<i class="swatch" style="background:{escape(color)}"></i>'
