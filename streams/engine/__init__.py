"""Faust made safe and fast; knows no shop and no vendor."""
