"""The gateway: reads a building's devices, decides what is an alarm, and does not rest until a human has answered."""
