"""The HTTP side: strands, retries, the vendor's gate, receipts and dead letters. No Faust here."""
