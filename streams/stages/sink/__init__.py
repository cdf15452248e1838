"""The sink, a vendor's stage: delivers the vendor's records, and writes one outcome for each."""
