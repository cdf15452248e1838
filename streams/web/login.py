"""The form that asks people for the token; one page without any other file."""

import base64
import hashlib
from html import escape
from importlib import resources

_ASSETS = resources.files("streams.web").joinpath("assets")
_PAGE = _ASSETS.joinpath("login.html").read_text("utf-8")
_STYLE = _ASSETS.joinpath("login.css").read_text("utf-8")
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""What the content policy must allow for this page."""


def login_page(problem: str = "") -> str:
    """Return the form; ``problem`` says why it is shown again."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return _PAGE.format(style=_STYLE, alert=alert)
