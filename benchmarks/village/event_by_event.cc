// What event_by_event.py asks, in ns-3: a UDP packet every 20 ms to each cluster over a
// point-to-point link of its own, with random loss and a queue; jitter is drawn before the link,
// as its channel has none. Prints JSON.

#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

#include <ctime>
#include <iostream>
#include <vector>

using namespace ns3;

namespace {

constexpr double kPacketS = 0.02, kPlayoutS = 0.8, kJitterS = 0.008;
constexpr uint32_t kBytes = 61;

struct Cluster {
  Ptr<Socket> out;
  Ptr<GammaRandomVariable> jitter;
  std::vector<char> came;
  double newest_s = 0;
  uint32_t sent = 0, due = 0;
};

uint64_t played = 0, missing = 0;

void Put(Cluster* one, uint32_t number) {
  uint8_t bytes[kBytes] = {};
  for (int i = 0; i < 4; i++) bytes[i] = number >> (8 * i);
  one->out->Send(Create<Packet>(bytes, kBytes));
}

void Send(Cluster* one) {
  double now_s = Simulator::Now().GetSeconds();
  one->newest_s = std::max(one->newest_s, now_s + one->jitter->GetValue(2.0, kJitterS / 2));
  Simulator::Schedule(Seconds(one->newest_s - now_s), &Put, one, one->sent++);
  if (one->sent < one->came.size()) Simulator::Schedule(Seconds(kPacketS), &Send, one);
}

void Receive(Cluster* one, Ptr<Socket> socket) {
  while (Ptr<Packet> packet = socket->Recv()) {
    uint8_t bytes[4];
    packet->CopyData(bytes, 4);
    one->came[bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24] = 1;
  }
}

void Play(Cluster* one) {
  (one->came[one->due++] ? played : missing)++;
  if (one->due < one->came.size()) Simulator::Schedule(Seconds(kPacketS), &Play, one);
}

}  // namespace

int main(int, char** arguments) {
  uint32_t count = std::stoi(arguments[1]);
  double duration_s = std::stod(arguments[2]);
  std::clock_t began = std::clock();
  NodeContainer station(1), poles(count);
  InternetStackHelper internet;
  internet.Install(station);
  internet.Install(poles);
  PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", StringValue("5Mbps"));
  link.SetChannelAttribute("Delay", StringValue("30ms"));
  Ipv4AddressHelper addresses("10.0.0.0", "255.255.255.252");
  std::vector<Cluster> clusters(count);
  for (uint32_t i = 0; i < count; i++) {
    Cluster* one = &clusters[i];
    NetDeviceContainer devices = link.Install(station.Get(0), poles.Get(i));
    Ptr<RateErrorModel> loss = CreateObject<RateErrorModel>();
    loss->SetUnit(RateErrorModel::ERROR_UNIT_PACKET);
    loss->SetRate(0.004);
    devices.Get(1)->SetAttribute("ReceiveErrorModel", PointerValue(loss));
    Ipv4InterfaceContainer both = addresses.Assign(devices);
    addresses.NewNetwork();
    Ptr<Socket> in = Socket::CreateSocket(poles.Get(i), UdpSocketFactory::GetTypeId());
    in->Bind(InetSocketAddress(Ipv4Address::GetAny(), 5004));
    in->SetRecvCallback(MakeBoundCallback(&Receive, one));
    one->out = Socket::CreateSocket(station.Get(0), UdpSocketFactory::GetTypeId());
    one->out->Connect(InetSocketAddress(both.GetAddress(1), 5004));
    one->jitter = CreateObject<GammaRandomVariable>();
    one->came.resize(static_cast<size_t>(duration_s / kPacketS + 0.5));
    Simulator::Schedule(Seconds(kPacketS), &Send, one);
    Simulator::Schedule(Seconds(kPacketS + kPlayoutS), &Play, one);
  }
  Simulator::Run();
  double cpu_s = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  std::cout << "{\"cpu_s\": " << cpu_s << ", \"played\": " << played << ", \"missing\": " << missing
            << "}" << std::endl;
}
