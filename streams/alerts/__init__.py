"""Messages to people: what is worth one, who of the workers sends it, and to whom.

What is wrong is judged in ``streams.status``; nothing is judged here.
"""
