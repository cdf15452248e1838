"""What Faust's web view shows of a worker, and of the pipeline."""
