// The baseline: DEALER → ROUTER [zmq_proxy] DEALER → DEALER with CURVE, three processes on
// loopback. No bookkeeping, no durability: the limit for one message a job.
//
//   bench_raw [--plain] [--batch N] and the options of load.h
//
// --plain: no CURVE. --batch N: up to N jobs in one frame, as many as the window lets out at once;
// what zgrid's lists would do if they did nothing else. Prints one JSON object.
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "bench/zmq_side.h"

namespace {

using namespace zgrid::bench;

struct Options {
  LoadOptions load;
  bool curve = true;
  size_t batch = 0;  // 0: one message a job, as it is
};

struct Endpoints {
  char front[64] = {}, back[64] = {};
};

// Binds both sides to free ports, tells them through the pipe, and forwards for ever.
void run_proxy(const KeyPair* keys, int pipe_out) {
  void* context = zmq_ctx_new();
  void* front = open_socket(context, ZMQ_ROUTER);
  void* back = open_socket(context, ZMQ_DEALER);
  if (keys != nullptr) {
    be_server(front, *keys);
    be_server(back, *keys);
  }
  Endpoints endpoints;
  bind_free(front).copy(endpoints.front, sizeof endpoints.front - 1);
  bind_free(back).copy(endpoints.back, sizeof endpoints.back - 1);
  if (write(pipe_out, &endpoints, sizeof endpoints) != sizeof endpoints) die("pipe");
  zmq_proxy(front, back, nullptr);
}

// A list: for each job its length in 4 bytes, then its bytes.
void append(std::string& list, std::string_view job) {
  const auto size = static_cast<uint32_t>(job.size());
  char head[sizeof size];
  std::memcpy(head, &size, sizeof size);
  list.append(head, sizeof head).append(job);
}

template <class Each>
void for_each(std::string_view list, const Each& each) {
  uint32_t size = 0;
  while (list.size() >= sizeof size) {
    std::memcpy(&size, list.data(), sizeof size);
    each(list.substr(sizeof size, size));
    list.remove_prefix(sizeof size + size);
  }
}

// Sends everything back; of a list each job by itself, as a worker would that ran them.
void run_worker(const KeyPair* keys, const std::string& endpoint, bool lists) {
  void* socket = connect_dealer(keys, endpoint);
  std::string results;
  while (true) {
    Frame part;
    part.receive(socket);
    const int more = part.has_more() ? ZMQ_SNDMORE : 0;
    if (!lists || more != 0) {  // an address goes as it came
      part.send(socket, more);
      continue;
    }
    results.clear();
    for_each(part.view(), [&](std::string_view job) { append(results, job); });
    Frame(results).send(socket);
  }
}

class Single final : public Target {
 public:
  Single(void* socket, size_t payload) : socket_(socket), payload_(payload, 'x') {}
  void submit() override { zmq_send(socket_, payload_.data(), payload_.size(), 0); }
  size_t wait() override {
    Frame result;
    result.receive(socket_);
    return 1;
  }

 private:
  void* socket_;
  std::string payload_;
};

class Batched final : public Target {
 public:
  Batched(void* socket, const Options& options)
      : socket_(socket), batch_(options.batch), payload_(options.load.payload, 'x') {}
  void submit() override {
    append(list_, payload_);
    if (++listed_ == batch_) flush();
  }
  void flush() override {
    if (listed_ == 0) return;
    Frame(list_).send(socket_);
    list_.clear();
    listed_ = 0;
  }
  size_t wait() override {
    size_t done = 0;
    Frame results;
    // What is there already counts before the next jobs are sent: this is what makes lists long.
    for (bool some = results.receive(socket_); some;
         some = results.receive(socket_, ZMQ_DONTWAIT)) {
      for_each(results.view(), [&done](std::string_view) { ++done; });
    }
    return done;
  }

 private:
  void* socket_;
  size_t batch_;
  std::string payload_, list_;
  size_t listed_ = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  options.load = parse_load(argc, argv, "bench_raw [--plain] [--batch N]",
                            [&options](const std::string& name, const std::string& value) {
                              if (name == "--batch") options.batch = number_of(name, value);
                              if (name == "--plain") options.curve = false;
                              return name == "--batch" ? 2 : name == "--plain" ? 1 : 0;
                            });
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const KeyPair pair;
  const KeyPair* keys = options.curve ? &pair : nullptr;
  int ends[2];
  if (pipe(ends) != 0) die("pipe");
  Children children;
  children.start([&] { run_proxy(keys, ends[1]); });
  Endpoints endpoints;
  if (read(ends[0], &endpoints, sizeof endpoints) != sizeof endpoints) die("pipe");
  for (size_t i = 0; i < options.load.workers; ++i) {
    children.start([&] { run_worker(keys, endpoints.back, options.batch > 0); });
  }
  const auto connect = [&]() -> std::unique_ptr<Target> {
    void* socket = connect_dealer(keys, endpoints.front);
    if (options.batch > 0) return std::make_unique<Batched>(socket, options);
    return std::make_unique<Single>(socket, options.load.payload);
  };
  print(std::string("raw") + (options.curve ? "-curve" : "-plain") +
            (options.batch > 0 ? "-batched" : ""),
        options.load, run_load(options.load, connect));
  return 0;
}
