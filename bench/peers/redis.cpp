// Redis lists: a job moves from "jobs" to "in-hand" while a worker has it, its result goes to
// "results", and only then it leaves "in-hand". With an append-only file synced on every write
// nothing of that is lost.
#include <charconv>

#include "bench/peers/peer.h"
#include "bench/peers/stream.h"

namespace zgrid::bench {
namespace {

void command(Stream& stream, std::initializer_list<std::string_view> words) {
  stream.put("*" + std::to_string(words.size()) + "\r\n");
  for (const std::string_view word : words) {
    stream.put("$" + std::to_string(word.size()) + "\r\n");
    stream.put(word);
    stream.put("\r\n");
  }
}

// The text of an answer; of an array that of its last element. Dies on an error.
std::string answer(Stream& stream) {
  const std::string line(stream.line());
  const char kind = line.empty() ? '-' : line[0];
  if (kind == '-') die("redis answered " + line);
  if (kind == '+' || kind == ':') return line.substr(1);
  long count = 0;
  std::from_chars(line.data() + 1, line.data() + line.size(), count);
  if (count < 0) return "";
  if (kind == '$') {
    const auto size = static_cast<size_t>(count);
    return std::string(stream.bytes(size + 2).substr(0, size));
  }
  std::string last;
  for (long i = 0; i < count; ++i) last = answer(stream);
  return last;
}

void work(const PeerOptions& options) {
  Stream stream(options.port);
  command(stream, {"BLMOVE", "jobs", "in-hand", "RIGHT", "LEFT", "0"});
  while (true) {
    stream.flush();
    const std::string payload = answer(stream);
    command(stream, {"LPUSH", "results", payload});
    command(stream, {"LREM", "in-hand", "1", payload});
    command(stream, {"BLMOVE", "jobs", "in-hand", "RIGHT", "LEFT", "0"});
    stream.flush();
    answer(stream);
    answer(stream);
  }
}

class Client final : public Target {
 public:
  explicit Client(const PeerOptions& options)
      : jobs_(options.port), results_(options.port), payload_(options.load.payload, 'x') {
    command(results_, {"BRPOP", "results", "0"});
    results_.flush();
  }
  void submit() override {
    command(jobs_, {"LPUSH", "jobs", payload_});
    ++unanswered_;
  }
  void flush() override {
    jobs_.flush();
    for (; unanswered_ > 0; --unanswered_) answer(jobs_);
  }
  size_t wait() override {
    if (answer(results_).size() != payload_.size()) die("a wrong result");
    command(results_, {"BRPOP", "results", "0"});
    results_.flush();
    return 1;
  }

 private:
  Stream jobs_, results_;
  std::string payload_;
  size_t unanswered_ = 0;
};

}  // namespace

const Peer kRedis{"redis", [](const PeerOptions&) {}, work,
                  [](const PeerOptions& options) -> std::unique_ptr<Target> {
                    return std::make_unique<Client>(options);
                  }};

}  // namespace zgrid::bench
