"""What the agent says: messages, the outbox that keeps them, the broker that takes them."""
