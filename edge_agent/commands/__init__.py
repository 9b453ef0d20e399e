"""What each command of `edge-agent` does; `edge_agent.cli` parses for them."""
