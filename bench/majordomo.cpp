// A plain Majordomo broker by RFC 18 (https://rfc.zeromq.org/spec/18/) with CURVE, its workers and
// its clients: what that pattern costs when each worker holds one request at a time. In memory, no
// expiry, no heartbeats: they would only make it slower.
//
//   bench_mdp and the options of load.h
//
// Prints one JSON object.
#include <unistd.h>

#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "bench/zmq_side.h"

namespace {

using namespace zgrid::bench;

constexpr char kClient[] = "MDPC02", kWorker[] = "MDPW02", kService[] = "echo";
constexpr char kClientRequest = 1, kClientFinal = 3;
constexpr char kReady = 1, kRequest = 2, kFinal = 4;

using Frames = std::vector<std::string>;

Frames receive_all(void* socket) {
  Frames frames;
  while (true) {
    Frame frame;
    frame.receive(socket);
    frames.emplace_back(frame.view());
    if (!frame.has_more()) return frames;
  }
}

void send_all(void* socket, const Frames& frames) {
  for (size_t i = 0; i < frames.size(); ++i) {
    Frame(frames[i]).send(socket, i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
  }
}

std::string command(char code) { return std::string(1, code); }

class Broker {
 public:
  explicit Broker(void* socket) : socket_(socket) {}

  // The sender's address, then one command of a client or a worker.
  void on_message(Frames frames) {
    if (frames.size() < 4) return;
    if (frames[1] == kClient && frames[2] == command(kClientRequest)) {
      Service& service = services_[frames[3]];
      frames.erase(frames.begin() + 1, frames.begin() + 4);  // address and body remain
      service.requests.push_back(std::move(frames));
      dispatch(service);
    } else if (frames[1] == kWorker && frames[2] == command(kReady)) {
      service_of_[frames[0]] = frames[3];
      services_[frames[3]].waiting.push_back(frames[0]);
      dispatch(services_[frames[3]]);
    } else if (frames[1] == kWorker && frames[2] == command(kFinal)) {
      on_final(std::move(frames));
    }
  }

 private:
  struct Service {
    std::deque<Frames> requests;
    std::deque<std::string> waiting;
  };

  void on_final(Frames frames) {  // worker, MDPW02, FINAL, client, empty, body…
    const auto known = service_of_.find(frames[0]);
    if (known == service_of_.end() || frames.size() < 5) return;
    Frames reply{frames[3], kClient, command(kClientFinal), known->second};
    reply.insert(reply.end(), frames.begin() + 5, frames.end());
    send_all(socket_, reply);
    services_[known->second].waiting.push_back(frames[0]);
    dispatch(services_[known->second]);
  }

  void dispatch(Service& service) {
    while (!service.requests.empty() && !service.waiting.empty()) {
      const Frames& request = service.requests.front();
      Frames message{service.waiting.front(), kWorker, command(kRequest), request[0], ""};
      message.insert(message.end(), request.begin() + 1, request.end());
      send_all(socket_, message);
      service.requests.pop_front();
      service.waiting.pop_front();
    }
  }

  void* socket_;
  std::map<std::string, Service> services_;
  std::map<std::string, std::string> service_of_;  // by the worker's address
};

void run_broker(const KeyPair& keys, int pipe_out) {
  void* socket = open_socket(zmq_ctx_new(), ZMQ_ROUTER);
  be_server(socket, keys);
  char endpoint[64] = {};
  bind_free(socket).copy(endpoint, sizeof endpoint - 1);
  if (write(pipe_out, endpoint, sizeof endpoint) != sizeof endpoint) die("pipe");
  Broker broker(socket);
  while (true) broker.on_message(receive_all(socket));
}

void run_worker(const KeyPair& keys, const std::string& endpoint) {
  void* socket = connect_dealer(&keys, endpoint);
  send_all(socket, {kWorker, command(kReady), kService});
  while (true) {
    Frames frames = receive_all(socket);
    if (frames.size() < 4 || frames[1] != command(kRequest)) continue;
    frames[1] = command(kFinal);
    send_all(socket, frames);
  }
}

class Client final : public Target {
 public:
  Client(void* socket, size_t payload)
      : socket_(socket),
        request_{kClient, command(kClientRequest), kService, std::string(payload, 'x')} {}
  void submit() override { send_all(socket_, request_); }
  size_t wait() override {
    const Frames reply = receive_all(socket_);
    if (reply.size() != 4 || reply[3].size() != request_[3].size()) die("a wrong reply");
    return 1;
  }

 private:
  void* socket_;
  Frames request_;
};

}  // namespace

int main(int argc, char** argv) {
  const LoadOptions options =
      parse_load(argc, argv, "bench_mdp", [](const std::string&, const std::string&) { return 0; });
  const KeyPair keys;
  int ends[2];
  if (pipe(ends) != 0) die("pipe");
  Children children;
  children.start([&] { run_broker(keys, ends[1]); });
  char endpoint[64] = {};
  if (read(ends[0], endpoint, sizeof endpoint) != sizeof endpoint) die("pipe");
  for (size_t i = 0; i < options.workers; ++i) {
    children.start([&] { run_worker(keys, endpoint); });
  }
  print("majordomo", options, run_load(options, [&]() -> std::unique_ptr<Target> {
          return std::make_unique<Client>(connect_dealer(&keys, endpoint), options.payload);
        }));
  return 0;
}
