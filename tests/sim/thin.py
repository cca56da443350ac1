"""A line of so many kbit/s, on which packets are lost and nothing else happens."""

THIN = """
[bearers.thin]
title = "Thin line"
one_way_ms = {{ value = 5, source = "test", verified = true }}
jitter_shape = "none"
jitter_scale_ms = {{ value = 0, source = "test", verified = true }}
loss_pct = {{ value = {loss}, source = "test", verified = true }}
loss_burst_packets = {{ value = 2, source = "test", verified = true }}
rate_kbit_s = {{ value = {rate}, source = "test", verified = true }}
queue_ms = {{ value = 300, source = "test", verified = true }}
stall_interval_s = {{ value = 0, source = "test", verified = true }}
stall_min_ms = {{ value = 0, source = "test", verified = true }}
stall_max_ms = {{ value = 0, source = "test", verified = true }}
busy_interval_s = {{ value = 0, source = "test", verified = true }}
busy_min_s = {{ value = 0, source = "test", verified = true }}
busy_max_s = {{ value = 0, source = "test", verified = true }}
busy_delay_ms = {{ value = 0, source = "test", verified = true }}
outage_interval_s = {{ value = 0, source = "test", verified = true }}
outage_min_s = {{ value = 0, source = "test", verified = true }}
outage_max_s = {{ value = 0, source = "test", verified = true }}
cell_kbit_s = {{ value = {cell}, source = "test", verified = true }}
"""
