"""The files in deploy/ for those who run streams: Kubernetes, systemd, compose."""
