"""Two gateways as a user starts them, far from the sender and near each other."""

from .conftest import free_port, process


def test_a_gateway_plays_by_its_neighbours_clock_and_says_so(start_node, speech_wav):
    leader = start_node(receive='[clock]\nanswers = ["127.0.0.1"]')
    follower = start_node(receive=f'[clock]\nneighbour = "127.0.0.1:{leader.port}"')
    ways = {free_port(): leader.port, free_port(): follower.port}
    pairs = [f"--pair={way}=127.0.0.1:{port}" for way, port in ways.items()]
    relay = process("benchmarks.rig.relay", *pairs, "--delay-ms", "30")
    try:
        relay.stdout.readline()
        to = [f"--to=127.0.0.1:{way}" for way in ways]
        sender = process("sim.sender.cli", str(speech_wav), *to, "--lead", "1")
        _, err = sender.communicate(timeout=60)
        assert sender.returncode == 0, err
        follows, leads = follower.stop(), leader.stop()
    finally:
        relay.kill()
        relay.communicate()

    assert leads["neighbour"]["answered"] > 0 and leads["neighbour"]["refused"] == 0
    assert follows["neighbour"]["address"] == f"127.0.0.1:{leader.port}"
    assert follows["neighbour"]["uncertainty_ms"] < 5  # to the sender it is 30
    (source,) = follows["sources"]
    assert source["mapped"] and source["neighbour"]["rests"]
    assert abs(source["neighbour"]["difference_ms"]) < 5
    assert leads["sources"][0]["neighbour"] is None
