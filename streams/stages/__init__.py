"""The stages as Faust apps; each ``stage.py`` reads from top to bottom."""
