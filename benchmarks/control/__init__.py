"""A commune's orders: ten years of a calendar, urgent orders to the horn, CAP documents."""
