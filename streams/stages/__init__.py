"""The stages as Faust apps, each to be read from top to bottom in its own folder."""
