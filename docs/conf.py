"""Settings of the documentation site: ``make docs`` builds it into ``build/site``, without a network.

The source folder is the repository and not ``docs/``, so that pages link to each other in the site as they do in the
repository, README files and measured results included. ``docs/reference.py`` writes the pages that are made of code.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from docutils import nodes
from sphinx import addnodes
from sphinx.util import inspect

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))  # Sphinx runs this file without its folder on the path

import reference  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "mashkit"
author = "The mashkit developers"
project_copyright = "the mashkit developers, MIT"
version = release = (ROOT / "mashkit" / "VERSION").read_text().strip()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "docs/**", "README.md", "CHANGELOG.md", ".github/*.md", "benchmarks/**.md", "examples/README.md",
    "examples/songs/README.md", "examples/plugins/*/README.md", "plugins/*/README.md", "plugins/*/cards/*.md",
]  # fmt: skip
exclude_patterns = [
    ".git", ".venv", ".*_cache", ".hypothesis", "build", "demo", "dist", "out", "mashkit", "tests", "**/__pycache__",
    "**/src", ".github/pull_request_template.md",
]  # fmt: skip

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike", "Samples": "Samples", "Times": "Times", "Values": "Values"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
napoleon_google_docstring = False
napoleon_use_param = False  # types are words, "array of float, shape (n,)": no names to link
napoleon_use_rtype = False
add_module_names = False
default_role = "literal"
highlight_language = "none"  # a block without a language is a command with words, or its output
smartquotes = False  # "--top" is not "–top"

html_theme = "pydata_sphinx_theme"
html_title = f"mashkit {version}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
PAGES = sorted((ROOT / "benchmarks" / "results").glob("*.html"))
"""Pages that the site has as they are, in its root; in their own folder they would replace those made of ``*.md``."""
html_extra_path = ["site/root", *map(str, PAGES)]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "mashkit"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_sidebars = {page: [] for page in ("docs/index", "docs/tutorial", "docs/ideas", "docs/write-a-plugin")}

_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)((?:#[^)\s]*)?)\)")


def _to_files(_: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to folders lead to a file in them, because a site has no list of a folder's files."""
    folder = (ROOT / docname).parent

    def file_of(link: re.Match[str]) -> str:
        target = folder / link[1]
        if not target.is_dir():
            return link[0]
        for name in ("README.md", "__init__.py"):
            if (target / name).is_file():
                return f"]({link[1].rstrip('/')}/{name}{link[2]})"
        first = next(iter(sorted(target.glob("*.md"))))
        return f"]({link[1].rstrip('/')}/{first.name}{link[2]})"

    source[0] = _LINK.sub(file_of, source[0])


def _to_pages(app: Sphinx, doctree: nodes.document) -> None:
    """Let links to a page of :data:`PAGES` open it, because Sphinx makes a download of each file that is no source."""
    docname = app.env.docname
    for link in list(doctree.findall(addnodes.download_reference)):
        target = (ROOT / docname).parent / link["reftarget"]
        if target.resolve() in PAGES:
            address = "../" * docname.count("/") + target.name
            link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=address))


def _without_types(_: Sphinx, what: str, __: str, one: Any, ___: Any, signature: str | None, result: str | None) -> Any:
    """Leave types out of how a class is made: its docstring says them, and converters have types that say nothing.

    A default that is made anew for each object, such as an empty mapping, is shown as "...".
    """
    if what != "class" or not signature:
        return None
    try:
        made = inspect.signature(one.__init__, bound_method=True)
    except (TypeError, ValueError):
        return None
    shown = [one.replace(default=...) if one.default is attrs.NOTHING else one for one in made.parameters.values()]
    made = made.replace(parameters=shown)
    text = inspect.stringify_signature(made, show_annotation=False, show_return_annotation=False)
    return text.replace("=Ellipsis", "=..."), result


def _with_dashes(_: Sphinx, doctree: nodes.document) -> None:
    """Turn the " -- " that stands between a parameter and its words into a dash, and no option of a command."""
    for body in doctree.findall(nodes.field_body):
        for text in list(body.findall(nodes.Text)):
            if " -- " in text and not isinstance(text.parent, nodes.literal):
                text.parent.replace(text, nodes.Text(text.replace(" -- ", " – ", 1)))


def setup(app: Sphinx) -> None:
    """Write the pages that are made of code, and mend what readers would stumble over."""
    reference.write(HERE / "reference")
    app.connect("source-read", _to_files)
    app.connect("autodoc-process-signature", _without_types)
    app.connect("doctree-read", _to_pages, priority=100)  # before Sphinx collects the files to download
    app.connect("doctree-read", _with_dashes)
