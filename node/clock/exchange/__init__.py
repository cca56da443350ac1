"""Asking for the time: from answers over a jittering way to the sender's clock."""
