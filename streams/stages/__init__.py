"""The stages: one folder each, whose ``stage`` module is the whole path of a record."""
