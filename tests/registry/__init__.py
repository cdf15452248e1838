"""The registry client and its decoders, on the simulator and on a real registry."""
