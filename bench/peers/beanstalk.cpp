// beanstalkd: jobs in the tube "jobs", results in the tube "results". Either side deletes what it
// took only after it has handed on what comes of it, so that nothing is lost on the way.
#include <charconv>

#include "bench/peers/peer.h"
#include "bench/peers/stream.h"

namespace zgrid::bench {
namespace {

// Puts on one connection and reserves on another, for a reserve blocks its connection.
void put_job(Stream& stream, std::string_view payload) {
  stream.put("put 1024 0 60 " + std::to_string(payload.size()) + "\r\n");
  stream.put(payload);
  stream.put("\r\n");
}

void expect(Stream& stream, std::string_view start) {
  const std::string_view line = stream.line();
  if (line.substr(0, start.size()) != start) die("beanstalkd answered " + std::string(line));
}

struct Job {
  std::string id, payload;
};

// The answer to a reserve; answers to deletes may come before it.
Job next_job(Stream& stream) {
  std::string line(stream.line());
  while (line == "DELETED") line = stream.line();
  constexpr std::string_view kReserved = "RESERVED ";
  const size_t space = line.rfind(' ');
  if (line.compare(0, kReserved.size(), kReserved) != 0 || space <= kReserved.size()) {
    die("beanstalkd answered " + line);
  }
  size_t size = 0;
  std::from_chars(line.data() + space + 1, line.data() + line.size(), size);
  return {line.substr(kReserved.size(), space - kReserved.size()),
          std::string(stream.bytes(size + 2).substr(0, size))};
}

void watch(Stream& stream, const std::string& tube) {
  stream.put("watch " + tube + "\r\nignore default\r\n");
  stream.flush();
  expect(stream, "WATCHING");
  expect(stream, "WATCHING");
}

void use(Stream& stream, const std::string& tube) {
  stream.put("use " + tube + "\r\n");
  stream.flush();
  expect(stream, "USING");
}

void work(const PeerOptions& options) {
  Stream stream(options.port);
  watch(stream, "jobs");
  Stream results(options.port);
  use(results, "results");
  for (size_t i = 0; i < options.in_hand; ++i) stream.put("reserve\r\n");
  while (true) {
    stream.flush();
    const Job job = next_job(stream);
    put_job(results, job.payload);
    results.flush();
    expect(results, "INSERTED");
    stream.put("delete " + job.id + "\r\nreserve\r\n");
  }
}

class Client final : public Target {
 public:
  explicit Client(const PeerOptions& options)
      : jobs_(options.port), results_(options.port), payload_(options.load.payload, 'x') {
    use(jobs_, "jobs");
    watch(results_, "results");
    results_.put("reserve\r\n");
    results_.flush();
  }
  void submit() override {
    put_job(jobs_, payload_);
    ++unanswered_;
  }
  void flush() override {
    jobs_.flush();
    for (; unanswered_ > 0; --unanswered_) expect(jobs_, "INSERTED");
  }
  size_t wait() override {
    const Job result = next_job(results_);
    if (result.payload.size() != payload_.size()) die("a wrong result");
    results_.put("delete " + result.id + "\r\nreserve\r\n");
    results_.flush();
    return 1;
  }

 private:
  Stream jobs_, results_;
  std::string payload_;
  size_t unanswered_ = 0;
};

}  // namespace

const Peer kBeanstalk{"beanstalk", [](const PeerOptions&) {}, work,
                      [](const PeerOptions& options) -> std::unique_ptr<Target> {
                        return std::make_unique<Client>(options);
                      }};

}  // namespace zgrid::bench
