// The baseline: DEALER → ROUTER [zmq_proxy] DEALER → DEALER with CURVE, one message a job, three
// processes on loopback. No bookkeeping, no durability: the limit for one message a job.
//
//   bench_raw [--jobs N] [--window W] [--payload BYTES] [--plain]
//
// Prints one JSON object. --window 1 measures latency.
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  size_t jobs = 100'000, window = 1000, payload = 100;
  bool curve = true;
};

struct KeyPair {
  char public_key[41] = {}, secret_key[41] = {};
  KeyPair() { zmq_curve_keypair(public_key, secret_key); }
};

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "bench_raw: %s: %s\n", what, zmq_strerror(zmq_errno()));
  std::exit(1);
}

void* open_socket(void* context, int type) {
  void* socket = zmq_socket(context, type);
  const int unlimited = 0;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
  zmq_setsockopt(socket, ZMQ_LINGER, &unlimited, sizeof unlimited);
  return socket;
}

void be_server(void* socket, const KeyPair& keys) {
  const int on = 1;
  zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on);
  zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key, 40);
}

void be_client(void* socket, const KeyPair& server) {
  const KeyPair own;
  zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server.public_key, 40);
  zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own.public_key, 40);
  zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own.secret_key, 40);
}

// Binds both sides to free ports, tells them through the pipe, and forwards for ever.
[[noreturn]] void run_proxy(const Options& options, const KeyPair& keys, int pipe_out) {
  void* context = zmq_ctx_new();
  void* front = open_socket(context, ZMQ_ROUTER);
  void* back = open_socket(context, ZMQ_DEALER);
  char endpoints[2][64] = {};
  void* sockets[2] = {front, back};
  for (int i = 0; i < 2; ++i) {
    if (options.curve) be_server(sockets[i], keys);
    if (zmq_bind(sockets[i], "tcp://127.0.0.1:*") != 0) die("bind");
    size_t size = sizeof endpoints[i];
    zmq_getsockopt(sockets[i], ZMQ_LAST_ENDPOINT, endpoints[i], &size);
  }
  if (write(pipe_out, endpoints, sizeof endpoints) != sizeof endpoints) die("pipe");
  zmq_proxy(front, back, nullptr);
  std::exit(0);
}

[[noreturn]] void run_worker(const Options& options, const KeyPair& keys, const char* endpoint) {
  void* context = zmq_ctx_new();
  void* socket = open_socket(context, ZMQ_DEALER);
  if (options.curve) be_client(socket, keys);
  if (zmq_connect(socket, endpoint) != 0) die("connect");
  while (true) {
    zmq_msg_t part;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, 0) < 0) die("receive");
    zmq_msg_send(&part, socket, zmq_msg_more(&part) ? ZMQ_SNDMORE : 0);
  }
}

void receive_one(void* socket) {
  zmq_msg_t part;
  zmq_msg_init(&part);
  if (zmq_msg_recv(&part, socket, 0) < 0) die("receive");
  zmq_msg_close(&part);
}

void run_client(const Options& options, const KeyPair& keys, const char* endpoint) {
  void* context = zmq_ctx_new();
  void* socket = open_socket(context, ZMQ_DEALER);
  if (options.curve) be_client(socket, keys);
  if (zmq_connect(socket, endpoint) != 0) die("connect");
  const std::string payload(options.payload, 'x');
  for (int i = 0; i < 100; ++i) {  // the handshakes are not measured
    zmq_send(socket, payload.data(), payload.size(), 0);
    receive_one(socket);
  }
  std::vector<double> latencies;
  latencies.reserve(options.jobs);
  const auto start = Clock::now();
  size_t sent = 0;
  for (size_t received = 0; received < options.jobs; ++received) {
    const auto before = Clock::now();
    while (sent < options.jobs && sent - received < options.window) {
      zmq_send(socket, payload.data(), payload.size(), 0);
      ++sent;
    }
    receive_one(socket);
    if (options.window == 1) {
      latencies.push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  double p50 = 0;
  if (!latencies.empty()) {
    std::nth_element(latencies.begin(), latencies.begin() + latencies.size() / 2, latencies.end());
    p50 = latencies[latencies.size() / 2];
  }
  std::printf(
      "{\"what\":\"raw\",\"curve\":%s,\"jobs\":%zu,\"window\":%zu,\"payload\":%zu,"
      "\"seconds\":%.4f,\"jobs_per_s\":%.0f,\"p50_us\":%.1f}\n",
      options.curve ? "true" : "false", options.jobs, options.window, options.payload, seconds,
      static_cast<double>(options.jobs) / seconds, p50);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--plain") {
      options.curve = false;
      continue;
    }
    const char* value = i + 1 < argc ? argv[++i] : "";
    const size_t number = std::strtoull(value, nullptr, 10);
    if (name == "--jobs" && number > 0) {
      options.jobs = number;
    } else if (name == "--window" && number > 0) {
      options.window = number;
    } else if (name == "--payload") {
      options.payload = number;
    } else {
      std::fprintf(stderr,
                   "usage: bench_raw [--jobs N] [--window W] [--payload BYTES] [--plain]\n");
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const KeyPair keys;
  int ends[2];
  if (pipe(ends) != 0) die("pipe");
  const pid_t proxy = fork();
  if (proxy == 0) run_proxy(options, keys, ends[1]);
  char endpoints[2][64] = {};
  if (read(ends[0], endpoints, sizeof endpoints) != sizeof endpoints) die("pipe");
  const pid_t worker = fork();
  if (worker == 0) run_worker(options, keys, endpoints[1]);
  run_client(options, keys, endpoints[0]);
  for (const pid_t child : {worker, proxy}) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  return 0;
}
