"""The simulated station: programme, conversation with its nodes, redundant copies."""
