#include "worker/spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "protocol/codec.h"
#include "protocol/hash.h"

namespace zgrid::worker {

using namespace protocol;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMagic = "ZGSPOOL1";

Failure io_error(const std::string& what, const std::string& path) {
  return fail(Errc::io, "cannot " + what + " " + path + ": " + std::strerror(errno),
              "check the disk and the folder's owner");
}

// A spool file: magic, store id, a FINAL message of one entry (its header and payload frames, each
// with its length), and a hash of all before it.
std::string to_bytes(const Finished& result) {
  Final message;
  message.items.push_back({result.token, result.outcome, result.output});
  std::string bytes(kMagic);
  bytes += result.store.view();
  for (const Bytes& frame : encode(Message(std::move(message)))) {
    const auto size = static_cast<uint32_t>(frame.size());
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(size >> shift);
    bytes += frame.view();
  }
  bytes += hash_bytes({}, bytes).view();
  return bytes;
}

std::optional<Finished> from_bytes(const Bytes& bytes) {
  constexpr size_t kHead = kMagic.size() + sizeof(StoreId::bytes);
  constexpr size_t kTail = sizeof(Hash128::bytes);
  if (bytes.size() < kHead + kTail || bytes.view().substr(0, kMagic.size()) != kMagic) return {};
  const size_t end = bytes.size() - kTail;
  if (hash_bytes({}, bytes.view().substr(0, end)).view() != bytes.view().substr(end)) return {};
  Finished result;
  std::memcpy(result.store.bytes.data(), bytes.data() + kMagic.size(), result.store.bytes.size());
  Frames frames;
  for (size_t at = kHead; at < end;) {
    if (end - at < 4) return {};
    uint32_t size = 0;
    for (size_t i = 0; i < 4; ++i) {
      size |= static_cast<uint32_t>(static_cast<unsigned char>(bytes.data()[at + i])) << (8 * i);
    }
    at += 4;
    if (size > end - at) return {};
    frames.push_back(bytes.slice(at, size));
    at += size;
  }
  auto message = decode(frames);
  if (!message || !std::holds_alternative<Final>(*message)) return {};
  Final& m = std::get<Final>(*message);
  if (m.items.size() != 1) return {};
  result.token = m.items[0].token;
  result.outcome = std::move(m.items[0].outcome);
  result.output = std::move(m.items[0].output);
  return result;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// Beside, synced, renamed, and the folder synced: whole or not at all.
Result<void> write_durably(const std::string& folder, const std::string& path,
                           std::string_view bytes) {
  const std::string beside = path + ".new";
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return io_error("create", beside);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += static_cast<size_t>(n);
  }
  const bool ok = done == bytes.size() && ::fdatasync(fd) == 0;
  const int reason = errno;
  ::close(fd);
  errno = reason;
  if (!ok || ::rename(beside.c_str(), path.c_str()) != 0) {
    Failure failure = io_error("write", path);
    ::unlink(beside.c_str());
    return failure;
  }
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return io_error("open", folder);
  const bool synced = ::fsync(directory) == 0;
  ::close(directory);
  if (!synced) return io_error("sync", folder);
  return {};
}

}  // namespace

Result<Spool> Spool::open(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder + "/spool", error);
  if (error) {
    return fail(Errc::io, "cannot make the folder " + folder + ": " + error.message(),
                "check its owner, or set worker.state_dir");
  }
  ::chmod(folder.c_str(), 0700);
  const std::string lock_path = folder + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return io_error("open", lock_path);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return fail(Errc::name_taken,
                "another worker with this name runs on this machine (" + folder + ")",
                "give this one another --name");
  }
  return Spool(folder, lock);
}

Spool::Spool(Spool&& other) noexcept
    : folder_(std::move(other.folder_)), lock_(std::exchange(other.lock_, -1)) {}

Spool::~Spool() {
  if (lock_ >= 0) ::close(lock_);
}

std::string Spool::path_of(const Nonce& nonce) const { return folder_ + "/spool/" + nonce.str(); }

Result<WorkerId> Spool::worker_id(const WorkerId& fresh) {
  const std::string path = folder_ + "/worker-id";
  if (const auto text = read_file(path)) {
    if (const auto id = WorkerId::parse(std::string_view(*text).substr(0, 36))) return *id;
  }
  if (auto written = write_durably(folder_, path, fresh.str() + "\n"); !written) {
    return fail(std::move(written.error()));
  }
  return fresh;
}

std::vector<Finished> Spool::load(std::vector<std::string>& damaged) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_ + "/spool", error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  std::vector<Finished> results;
  for (const std::string& name : names) {
    if (!Nonce::parse(name)) continue;  // *.bad, *.new
    const std::string path = folder_ + "/spool/" + name;
    auto text = read_file(path);
    auto result = text ? from_bytes(Bytes::own(std::move(*text))) : std::nullopt;
    if (result) {
      results.push_back(std::move(*result));
    } else {
      ::rename(path.c_str(), (path + ".bad").c_str());
      damaged.push_back(path + ".bad");
    }
  }
  return results;
}

Result<void> Spool::put(const Finished& result) {
  return write_durably(folder_ + "/spool", path_of(result.token.nonce), to_bytes(result));
}

void Spool::drop(const Nonce& nonce) { ::unlink(path_of(nonce).c_str()); }

}  // namespace zgrid::worker
