"""RTP and RTCP: what the packets say."""
