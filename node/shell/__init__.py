"""The only place with I/O: sockets, sound card, clocks, disk, MQTT, and the command line."""
