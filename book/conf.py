"""Settings of the web book; `python course.py book` stages the pages and calls Sphinx."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
project = "LSTM for retail and e-commerce"
author = "the authors of this course"
project_copyright = "2026, the authors of this course. Lessons CC BY 4.0, code MIT"
language = "en"

extensions = ["myst_nb", "sphinx-mathjax-offline", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "describe"]
exclude_patterns = ["_static"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# The book shows exactly the outputs that the tests have compared.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"

# Folded cells: drawing code and computed prose, tagged hide-input.
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"

# The package's pages: types in the signature, members in the order of the code.
autodoc_preserve_defaults = True  # as written: no path of the machine that builds
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # autodoc lists the fields of dataclasses, too

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
# A heading may skip a level inside an exercise or a quiz; a short name in a docstring fits several targets.
suppress_warnings = ["myst.header", "ref.python"]

html_theme = "sphinx_book_theme"
html_title = "LSTM for retail and e-commerce"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    # Nothing may be asked of another server: no launch buttons, no repository links, no outside icons.
    "launch_buttons": {},
    "icon_links": [],
    "use_download_button": True,
    "use_fullscreen_button": True,
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navbar_persistent": [],
    "article_header_start": ["toggle-primary-sidebar.html"],
}
html_css_files = ["course.css"]
