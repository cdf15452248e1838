"""The form that asks people for the token; one page without any other file."""

import base64
import hashlib
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f8; --card: #fff; --ink: #16191d; --soft: #59616b;
  --line: #d5d9de; --accent: #1f5fbf; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #101316; --card: #191d22; --ink: #e8eaed;
  --soft: #a0a8b2; --line: #343b43; --accent: #8ab4f8; --bad: #f28b82; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
form { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1.5rem;
  width: min(22rem, calc(100vw - 2rem)); box-sizing: border-box; }
h1 { font-size: 1.1rem; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; color: var(--soft); font-size: .9rem; }
p[role=alert] { color: var(--bad); }
p.after { margin: 1rem 0 0; }
label { display: block; font-size: .9rem; margin-bottom: .25rem; }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .6rem;
  border-radius: 6px; border: 1px solid var(--line); background: var(--ground); color: inherit; }
button { margin-top: .9rem; border-color: var(--accent); color: var(--accent);
  background: transparent; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""What the content policy must allow for this page."""


def login_page(problem: str = "") -> str:
    """Return the form; ``problem`` says why it is shown again."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in · clickstream relay</title>
<style>{_STYLE}</style>
</head>
<body>
<main><form method="post" action="/login">
<h1>Clickstream relay</h1>
{alert}
<label for="token">Token</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password">
<button>Log in</button>
<p class="after">It is the value of STREAMS_WEB_TOKEN. A session lasts twelve hours.</p>
</form></main>
</body>
</html>
"""
