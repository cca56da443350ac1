"""What plays, how loud, and who may."""
