"""What a quantised model stands for: its float reading, and which float tensor each of its own belongs to."""
