"""A bundle as one self-contained page: no script, nothing loaded from elsewhere.

``document`` puts it together, ``proof`` has the variants, ``pictures`` draws the golden frames,
``charts`` the profile; ``tables`` is the HTML of tables.
"""

from builder.page.document import render_page

__all__ = ["render_page"]
