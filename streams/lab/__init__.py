"""What production does not need: the embedded Kafka, the vendor simulators, the demo."""
