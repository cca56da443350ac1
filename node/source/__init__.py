"""One source: from datagrams or a file to sound, with what is kept between two periods."""
