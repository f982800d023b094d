// The NATS protocol: lines of text, payloads with their length. Request and reply as its clients
// do it, and a JetStream work queue: published with an acknowledgement, stored in a file, pushed to
// the workers, acknowledged by them after the result was sent.
#include <poll.h>

#include <algorithm>
#include <charconv>

#include "bench/peers/peer.h"
#include "bench/peers/stream.h"

namespace zgrid::bench {
namespace {

constexpr std::string_view kConnect =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":false}\r\n";

struct Message {
  std::string subject, reply, payload;
};

size_t to_number(std::string_view text) {
  size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class Connection {
 public:
  explicit Connection(uint16_t port) : stream_(port) { stream_.put(kConnect); }

  void subscribe(std::string_view subject, std::string_view group = {}) {
    stream_.put("SUB ");
    stream_.put(subject);
    stream_.put(" ");
    stream_.put(group);
    stream_.put(" " + std::to_string(++subscriptions_) + "\r\n");
  }
  void publish(std::string_view subject, std::string_view reply, std::string_view payload) {
    stream_.put("PUB ");
    stream_.put(subject);
    stream_.put(" ");
    stream_.put(reply);
    stream_.put(" " + std::to_string(payload.size()) + "\r\n");
    stream_.put(payload);
    stream_.put("\r\n");
  }
  void flush() { stream_.flush(); }
  // Whether a message was received and not read yet.
  bool has_message() {
    while (stream_.has_line() && !stream_.has_line(kMessage)) on_line(stream_.line());
    return stream_.has_line(kMessage);
  }
  // The same after at most so long.
  bool waits_message(int milliseconds) {
    pollfd readable{stream_.fd(), POLLIN, 0};
    if (!has_message() && ::poll(&readable, 1, milliseconds) > 0) stream_.receive();
    return has_message();
  }
  // The next message.
  const Message& next() {
    while (true) {
      const std::string_view line = stream_.line();
      if (line.substr(0, kMessage.size()) == kMessage) {
        return read(std::string(line.substr(kMessage.size())));
      }
      on_line(line);
    }
  }
  // Returns once the server knows what was put before.
  void settle() {
    stream_.put("PING\r\n");
    stream_.flush();
    while (stream_.line() != "PONG") {
    }
  }
  // Asks the server's own interface; dies on an error.
  void ask(std::string_view subject, std::string_view json) {
    subscribe("bench.api");
    publish(subject, "bench.api", json);
    flush();
    const std::string& answer = next().payload;
    if (answer.find("\"error\"") != std::string::npos) die("the server answered " + answer);
  }

 private:
  static constexpr std::string_view kMessage = "MSG ";

  // What is no message: questions of the server, and its errors.
  void on_line(std::string_view line) {
    if (line.substr(0, 4) == "-ERR") die("the server answered " + std::string(line));
    if (line != "PING") return;
    stream_.put("PONG\r\n");
    stream_.flush();
  }
  const Message& read(const std::string& head) {  // subject sid [reply] size
    const size_t first = head.find(' ');
    const size_t second = head.find(' ', first + 1);
    const size_t last = head.rfind(' ');
    message_.subject.assign(head, 0, first);
    message_.reply.clear();
    if (last > second) message_.reply.assign(head, second + 1, last - second - 1);
    const size_t size = to_number(std::string_view(head).substr(last + 1));
    message_.payload.assign(stream_.bytes(size + 2).substr(0, size));
    return message_;
  }

  Stream stream_;
  Message message_;
  size_t subscriptions_ = 0;
};

void work(const PeerOptions& options) {
  Connection connection(options.port);
  connection.subscribe("work", "workers");
  while (true) {
    if (!connection.has_message()) connection.flush();
    const Message& message = connection.next();
    connection.publish(message.reply, "", message.payload);
  }
}

class Requests final : public Target {
 public:
  explicit Requests(const PeerOptions& options)
      : connection_(options.port), payload_(options.load.payload, 'x') {
    connection_.subscribe("_INBOX.bench.*");
    connection_.settle();
    // What nobody has subscribed to yet is dropped: the load begins once a worker answers.
    do {
      connection_.publish("work", kKnock, "");
      connection_.flush();
    } while (!connection_.waits_message(20));
  }
  void submit() override {
    connection_.publish("work", "_INBOX.bench." + std::to_string(++sent_), payload_);
  }
  void flush() override { connection_.flush(); }
  size_t wait() override {
    size_t done = 0;
    do {
      const Message& message = connection_.next();
      if (message.subject == kKnock) continue;
      if (message.payload.size() != payload_.size()) die("a wrong result");
      ++done;
    } while (done == 0 || connection_.has_message());
    return done;
  }

 private:
  static constexpr std::string_view kKnock = "_INBOX.bench.knock";

  Connection connection_;
  std::string payload_;
  size_t sent_ = 0;
};

void prepare_stream(const PeerOptions& options) {
  Connection connection(options.port);
  connection.ask("$JS.API.STREAM.CREATE.WORK",
                 R"({"name":"WORK","subjects":["queue.*"],"retention":"workqueue",)"
                 R"("storage":"file","max_msgs":-1,"max_bytes":-1,"num_replicas":1})");
}

void prepare_queue(const PeerOptions& options) {
  prepare_stream(options);
  Connection connection(options.port);
  connection.ask("$JS.API.CONSUMER.DURABLE.CREATE.WORK.workers",
                 R"({"stream_name":"WORK","config":{"durable_name":"workers",)"
                 R"("deliver_subject":"deliver.workers","deliver_group":"workers",)"
                 R"("deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,)"
                 R"("max_ack_pending":20000}})");
}

// The subject of a job is queue.CLIENT; its result goes to result.CLIENT.
void work_queue(const PeerOptions& options) {
  Connection connection(options.port);
  connection.subscribe("deliver.workers", "workers");
  while (true) {
    if (!connection.has_message()) connection.flush();
    const Message& message = connection.next();
    connection.publish("result" + message.subject.substr(message.subject.find('.')), "",
                       message.payload);
    connection.publish(message.reply, "", "+ACK");
  }
}

class Queue final : public Target {
 public:
  explicit Queue(const PeerOptions& options)
      : connection_(options.port), payload_(options.load.payload, 'x') {
    connection_.subscribe("result.1");
    connection_.subscribe("accepted.1");
    connection_.settle();
  }
  void submit() override { connection_.publish("queue.1", "accepted.1", payload_); }
  void flush() override { connection_.flush(); }
  // A job is done when its result is here and it was accepted; either may come first.
  size_t wait() override {
    const size_t before = std::min(accepted_, results_);
    do {
      const Message& message = connection_.next();
      if (message.subject == "accepted.1") {
        if (message.payload.find("\"error\"") != std::string::npos) die(message.payload);
        ++accepted_;
      } else {
        ++results_;
      }
    } while (std::min(accepted_, results_) == before || connection_.has_message());
    return std::min(accepted_, results_) - before;
  }

 private:
  Connection connection_;
  std::string payload_;
  size_t accepted_ = 0, results_ = 0;
};

}  // namespace

const Peer kNats{"nats", [](const PeerOptions&) {}, work,
                 [](const PeerOptions& options) -> std::unique_ptr<Target> {
                   return std::make_unique<Requests>(options);
                 }};
const Peer kJetStream{"jetstream", prepare_queue, work_queue,
                      [](const PeerOptions& options) -> std::unique_ptr<Target> {
                        return std::make_unique<Queue>(options);
                      }};

}  // namespace zgrid::bench
