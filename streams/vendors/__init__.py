"""The registry of vendors: reading this file tells which there are."""
