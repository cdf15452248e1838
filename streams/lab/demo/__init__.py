"""The demo: sample sessions, and the whole pipeline that runs on them."""
