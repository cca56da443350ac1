"""What the gate makes of measured figures: broken budgets, changed digits, and files of both."""
