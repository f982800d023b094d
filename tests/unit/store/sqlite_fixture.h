// A store on disk that tests open, kill and damage.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tests/contract/store_sample.h"

namespace zgrid::broker::sample {

// No file may grow, nor be written behind its first bytes: as if the disk were full.
class NoRoom {
 public:
  NoRoom() {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    old_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;
  ~NoRoom() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, old_);
  }

 private:
  rlimit before_{};
  void (*old_)(int) = nullptr;
};

class SqliteStoreTest : public testing::Test {
 protected:
  std::unique_ptr<JobStore> open() {
    Result<std::unique_ptr<JobStore>> opened = open_store(path_);
    if (opened) return std::move(*opened);
    ADD_FAILURE() << opened.error().message;
    return nullptr;
  }
  Error refused() {
    Result<std::unique_ptr<JobStore>> opened = open_store(path_);
    if (!opened) return opened.error();
    ADD_FAILURE() << "the store was opened";
    return {};
  }
  // As if the process died: the files are copied while the store is open.
  std::string snapshot(const std::string& name) {
    const std::string copy = folder_.file(name);
    for (const char* suffix : {"", "-wal"}) {
      if (std::filesystem::exists(path_ + suffix)) {
        std::filesystem::copy_file(path_ + suffix, copy + suffix);
      }
    }
    return copy;
  }
  static std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  TempFolder folder_;
  std::string path_ = folder_.file("state/zgrid/broker.db");
};

}  // namespace zgrid::broker::sample
