"""From the vendor record to the vendor's HTTP API: queues, batches, retries. Knows no Faust."""
