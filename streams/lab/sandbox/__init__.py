"""The vendor simulators: a server that checks requests against the vendors' own documents.

Demo, tests and users' own CI use it. It shares no code with ``streams.vendors``, so that it does
not repeat a mistake of a mapping.
"""

from streams.lab.sandbox.faults import Fault, FaultKind, parse_fault
from streams.lab.sandbox.ledger import Ledger
from streams.lab.sandbox.server import Sandbox

__all__ = ["Fault", "FaultKind", "Ledger", "Sandbox", "parse_fault"]
