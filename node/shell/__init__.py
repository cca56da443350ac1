"""The only I/O of the node: sockets, sound card, MQTT, disk, command line."""
