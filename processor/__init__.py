"""orderhalt: finds the orders of a photo shop that are halted, and says so exactly once."""
