"""The vendor simulators: a server that judges requests by the vendors' own documents.

Demo, tests and users' own CI run on it. Shares no code with ``streams.vendors``, on purpose: a
fault in a mapping must meet a judge that does not repeat it.
"""

from streams.lab.sandbox.faults import Fault, FaultKind, parse_fault
from streams.lab.sandbox.ledger import Ledger
from streams.lab.sandbox.server import Sandbox

__all__ = ["Fault", "FaultKind", "Ledger", "Sandbox", "parse_fault"]
