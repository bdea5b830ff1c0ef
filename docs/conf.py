"""The documentation's site: ``sphinx-build -W docs site``.

Nothing is fetched: no fonts or scripts of other hosts. Notebooks are shown as they are stored, without
results; ``-D nb_execution_mode=force`` runs them (extras `train` and `simulate`, a minute).
"""

from __future__ import annotations

from importlib.metadata import version as installed

project = "shipgen"
author = "the shipgen developers"
release = version = installed("shipgen")
copyright = "2026, the shipgen developers"  # noqa: A001 (Sphinx calls it so)

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "sphinx_copybutton"]
exclude_patterns = ["_build"]
# The same page always: no date of the build in it.
html_last_updated_fmt = None

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_execution_timeout = 300
nb_execution_raise_on_error = True

# Docstrings are NumPy's; what stands in single backticks is code.
default_role = "code"
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Of 5 GB, for one class.
autodoc_mock_imports = ["torch"]

html_theme = "furo"
html_title = f"shipgen {release}"
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp"
