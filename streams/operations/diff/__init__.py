"""``streams diff``: sends the same records through two settings files and compares the payloads.

Each settings file has a process. This process reads the records, sends batches to both, and
compares what they return. So it holds one batch at a time, in the order of the records.
"""
