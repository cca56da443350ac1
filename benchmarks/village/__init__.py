"""Gateway profiles on kinds of line, in virtual time: delay, dropout and speed."""
