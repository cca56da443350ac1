"""A whole day of a village: what plays, how loud, who may, and what each hamlet gets to hear."""
