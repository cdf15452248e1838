"""Alerts to people: which findings become a message, which worker sends it, and to whom.

The findings come from ``streams.status``; nothing is judged here.
"""
